# SPDX-License-Identifier: Apache-2.0
"""The fusion measures of one fused pair, beside those of the baselines on the same pair."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any

import numpy as np
import torch

from fusion_ros.baselines import BASELINES
from fusion_ros.metrics import score

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
    """Every measure of the fused picture and of each baseline.

    Args:
        visible, thermal, fused: `uint8` HxW, the luma of each on one grid.
        measures: names of `fusion_ros.metrics.MEASURES`.
        baselines: names of `fusion_ros.baselines.BASELINES`.

    Returns:
        Measure by candidate ("fused" first) and name; NaN where a picture is too small.
    """
    v, t = (picture.astype(np.float32) / 255 for picture in (visible, thermal))
    candidates = {FUSED: fused.astype(np.float32) / 255}
    candidates |= {name: BASELINES[name](v, t) for name in baselines}
    as_tensor = {name: _tensor(picture) for name, picture in candidates.items()}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums of floats depend on how many threads share them
    try:
        return {
            name: score(_tensor(v), _tensor(t), picture, measures)
            for name, picture in as_tensor.items()
        }
    finally:
        torch.set_num_threads(threads)


def _tensor(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture, np.float32))[None, None]


class QualityBench:
    """Measures beside the fusing, in a process of its own; a few pictures wait at most.

    Args:
        measures, baselines: see `measure_quality`.
        in_background: False measures at once, in this process: same values, no second process.
    """

    def __init__(
        self, measures: Sequence[str], baselines: Sequence[str], *, in_background: bool
    ) -> None:
        self._options: dict[str, Any] = {"measures": measures, "baselines": baselines}
        self._in_background = in_background
        self._pool: ProcessPoolExecutor | None = None
        self._waiting: deque[tuple[Quality, Future[Quality]]] = deque()

    def submit(
        self, result: Quality, visible: np.ndarray, thermal: np.ndarray, fused: np.ndarray
    ) -> None:
        """Measure; `result` is filled now or later, at the latest when `finish` returns."""
        if not self._in_background:
            result.update(measure_quality(visible, thermal, fused, **self._options))
            return
        if self._pool is None:
            # A fresh interpreter: a fork would copy the engine's threads half-way.
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(1, mp_context=context)
        future = self._pool.submit(measure_quality, visible, thermal, fused, **self._options)
        self._waiting.append((result, future))
        while len(self._waiting) > _MOST_WAITING:
            self._settle()

    def finish(self) -> None:
        """Wait for what is being measured."""
        while self._waiting:
            self._settle()
        self.close()

    def close(self) -> None:
        """Give up what still waits, and end the process."""
        self._waiting.clear()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def _settle(self) -> None:
        result, future = self._waiting.popleft()
        result.update(future.result())
