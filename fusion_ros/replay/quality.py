# SPDX-License-Identifier: Apache-2.0
"""Fusion measures of fused pairs, and of the baselines on the same pairs."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from fusion_ros.metrics.baselines import BASELINES

FUSED = "fused"
Quality = dict[str, dict[str, float]]
_MOST_WAITING = 3


def measure_quality(
    visible: np.ndarray,
    thermal: np.ndarray,
    fused: np.ndarray,
    *,
    measures: Sequence[str],
    baselines: Sequence[str],
) -> Quality:
    """Return all measures of the fused image and of each baseline.

    Args:
        visible, thermal, fused: luma as `uint8` HxW on one grid.
        measures: names of `fusion_ros.metrics.MEASURES`; without any, PyTorch is not imported.
        baselines: names of `fusion_ros.metrics.baselines.BASELINES`.

    Returns:
        Value by candidate ("fused" first) and measure; NaN where an image is too small.
    """
    if not measures:
        return {name: {} for name in (FUSED, *baselines)}
    import torch

    from fusion_ros.metrics.measures import score

    v, t = (image.astype(np.float32) / 255 for image in (visible, thermal))
    candidates = {FUSED: fused.astype(np.float32) / 255}
    candidates |= {name: BASELINES[name](v, t) for name in baselines}

    def tensor(image: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(image, np.float32))[None, None]

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums of floats depend on the number of threads
    try:
        return {
            name: score(tensor(v), tensor(t), tensor(image), measures)
            for name, image in candidates.items()
        }
    finally:
        torch.set_num_threads(threads)


class QualityBench:
    """Quality measurement in a thread beside the fusion, with a short queue.

    Args:
        measures, baselines: see `measure_quality`.
        in_background: False measures in the caller's thread, with the same values. Needed for
            engines that use torch, since its number of threads is a setting of the process.
    """

    def __init__(
        self, measures: Sequence[str], baselines: Sequence[str], *, in_background: bool
    ) -> None:
        self._options: dict[str, Any] = {"measures": measures, "baselines": baselines}
        self._pool = ThreadPoolExecutor(1, "quality") if in_background else None
        self._waiting: deque[tuple[Quality, Future[Quality]]] = deque()

    def submit(
        self, result: Quality, visible: np.ndarray, thermal: np.ndarray, fused: np.ndarray
    ) -> None:
        """Measure an image; `result` is set when `finish` returns at the latest."""
        if self._pool is None:
            result.update(measure_quality(visible, thermal, fused, **self._options))
            return
        future = self._pool.submit(measure_quality, visible, thermal, fused, **self._options)
        self._waiting.append((result, future))
        while len(self._waiting) > _MOST_WAITING:
            self._settle()

    def finish(self) -> None:
        """Wait for all measurements."""
        while self._waiting:
            self._settle()

    def close(self) -> None:
        """Cancel queued measurements. The running one finishes; its result is discarded."""
        self._waiting.clear()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _settle(self) -> None:
        result, future = self._waiting.popleft()
        result.update(future.result())
