# SPDX-License-Identifier: Apache-2.0
"""Detection of fused frames that equal the visible ones: a thermal stream without effect."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from fusion_ros.imaging.pair_check import PairDoubt, is_constant, result_doubts

if TYPE_CHECKING:
    from fusion_ros.pipeline import FusedFrame

_LOOK_EVERY_NS = 250_000_000
_LOOKS = 4
"""Comparisons that must agree: one second, or more of a slow stream."""


class EffectWatch:
    """Compares fused frames with their visible ones four times each second; not thread-safe."""

    def __init__(self) -> None:
        self._looked_ns: int | None = None
        self._looks: deque[bool] = deque(maxlen=_LOOKS)

    @property
    def is_missing(self) -> bool:
        """Whether the newest fused frames were the visible ones, bit for bit."""
        return len(self._looks) == _LOOKS and all(self._looks)

    def look(self, visible: np.ndarray, fused: FusedFrame, now_ns: int) -> None:
        """Compare a visible frame with its fused one.

        Thermal frames of one value everywhere, as of a closed shutter, do not count.
        """
        if self._looked_ns is not None and 0 <= now_ns - self._looked_ns < _LOOK_EVERY_NS:
            return
        self._looked_ns = now_ns
        if not is_constant(fused.thermal):
            doubts = result_doubts(visible, fused.image)
            self._looks.append(PairDoubt.FUSED_IS_VISIBLE in doubts)

    def restart(self) -> None:
        """Reset, as after a pause or with another calibration."""
        self._looks.clear()
