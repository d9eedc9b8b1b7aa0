# SPDX-License-Identifier: Apache-2.0
"""Offset between two cameras' stamps, estimated from motion that both see.

Stamps and arrival times can share one error (re-stamped recordings, cameras on one clock with
different delays), which only the images show. The estimate needs motion that varies.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

STEP_MS = 5.0
REACH_MS = 400.0
_CLEAR = 0.55
"""Least correlation of both motions at the best offset."""
_BETTER = 0.12
"""Least gain in correlation of the best offset over none."""
_SHORTEST_S = 4.0


def motion_offset_ms(
    visible: Sequence[tuple[int, float]], thermal: Sequence[tuple[int, float]]
) -> float | None:
    """Return the offset for thermal stamps that aligns the motions; None if it is not clear.

    Both streams are (stamp, motion); stamps increase. Motion is any measure of change from the
    previous frame.
    """
    if min(len(visible), len(thermal)) < 60:
        return None
    begin = max(visible[0][0], thermal[0][0])
    end = min(visible[-1][0], thermal[-1][0])
    if (end - begin) / 1e9 < _SHORTEST_S:
        return None
    grid = np.arange(0, (end - begin) / 1e6, STEP_MS)
    a, b = (
        _ups_and_downs(np.interp(grid, [(ns - begin) / 1e6 for ns, _ in s], [m for _, m in s]))
        for s in (visible, thermal)
    )
    if a is None or b is None:
        return None
    reach = round(REACH_MS / STEP_MS)
    scores = []
    for shift in range(-reach, reach + 1):
        x, y = (a[shift:], b[: len(b) - shift]) if shift >= 0 else (a[:shift], b[-shift:])
        scores.append(float(np.corrcoef(x, y)[0, 1]))
    best = int(np.argmax(scores))
    clear = scores[best] >= max(_CLEAR, scores[reach] + _BETTER)
    return (best - reach) * STEP_MS if clear and best not in (0, 2 * reach) else None


def _ups_and_downs(signal: np.ndarray) -> np.ndarray | None:
    """Return the logarithm of a signal without its slow drift; None if the scene is still.

    The logarithm limits the weight of a single flash.
    """
    signal = np.log1p(np.maximum(signal, 0) / max(float(np.median(signal)), 1e-9))
    window = max(3, round(1500 / STEP_MS))
    padded = np.pad(signal, (window // 2, window - 1 - window // 2), mode="edge")
    slow = np.convolve(padded, np.ones(window) / window, mode="valid")
    fast = signal - slow
    return fast if float(fast.std()) > 1e-3 else None
