# SPDX-License-Identifier: Apache-2.0
"""Monitor of the alignment of two registered images by their edges."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import cv2
import numpy as np

from fusion_ros.imaging.colour import luma
from fusion_ros.imaging.encodings import ChannelOrder
from fusion_ros.registration.structure import array_median, peak_offset, structure

_WORK_WIDTH = 160
_MOST_ROWS = 4 * _WORK_WIDTH
_REACH = 0.12
_FORGET = 0.9
CLEAR = 6.0
"""Least clearness of a reliable shift."""
_ALIGNED = 0.9
"""Least score of edges that agree nearly as well as at the best shift."""
_LEAST_SHIFT_PX = 3


@dataclass(frozen=True)
class Alignment:
    """Result of the last evaluations together."""

    score: float
    """0..1: agreement of the edges at the current position, relative to the best position. 1 is
    aligned; NaN if the images share too few edges."""
    shift_x_px: float
    """Distance of the thermal image to the right of its correct position, in visible pixels."""
    shift_y_px: float
    """Distance of the thermal image below its correct position, in visible pixels."""
    clearness: float
    """Height of the best position above the others, in deviations; below 6 the shift is
    uncertain."""

    @property
    def shift_px(self) -> float:
        """Return the length of the shift, in visible pixels."""
        return float(np.hypot(self.shift_x_px, self.shift_y_px))


def lasting_shift(alignments: Sequence[Alignment], least: int = 3) -> tuple[float, float] | None:
    """Return the median shift (right, down, in visible pixels) if it is reliable and matters.

    At least `least` evaluations, or all of fewer, must be clear.
    """
    clear = [a for a in alignments if a.clearness >= CLEAR]
    if not clear or len(clear) < min(least, len(alignments)):
        return None
    x, y = median(a.shift_x_px for a in clear), median(a.shift_y_px for a in clear)
    shifted = max(abs(x), abs(y)) >= _LEAST_SHIFT_PX and median(a.score for a in clear) < _ALIGNED
    return (x, y) if shifted else None


class AlignmentMonitor:
    """Compares pairs at a limited rate; averages about ten evaluations to suppress outliers.

    It detects a shift after a knock, not parallax: it measures the shift of most edges.
    """

    def __init__(self, period_s: float = 0.5) -> None:
        """Evaluate one pair every `period_s` seconds; 0: never."""
        self.period_s = period_s
        self.reset()

    def reset(self) -> None:
        """Discard earlier evaluations, for another calibration or camera."""
        self._evaluated_s = -math.inf
        self._cross: np.ndarray | None = None
        self.last: Alignment | None = None

    def __call__(
        self,
        visible: np.ndarray,
        thermal: np.ndarray,
        *,
        now_s: float,
        order: ChannelOrder | str = ChannelOrder.RGB,
    ) -> Alignment | None:
        """Evaluate a registered pair if it is due; return the latest result.

        `visible` is `uint8` HxW, or HxWx3 in `order`, `thermal` `uint8` HxW. `now_s` is the time of
        any running clock; after a jump back the evaluation is due.
        """
        due = self.period_s > 0 and not 0 <= now_s - self._evaluated_s < self.period_s
        if due:
            self._evaluated_s = now_s
            self.last = self.evaluate(luma(visible, order=order), thermal)
        return self.last

    def evaluate(self, visible_luma: np.ndarray, thermal: np.ndarray) -> Alignment:
        """Evaluate a pair now."""
        height, width = visible_luma.shape
        # The limit keeps an image of one column from becoming 160 times as high.
        rows = min(max(8, round(_WORK_WIDTH * height / width)), _MOST_ROWS)
        size = (_WORK_WIDTH, rows)
        a, b = (
            structure(cv2.resize(p, size, interpolation=cv2.INTER_AREA))
            for p in (visible_luma, thermal)
        )
        cross = np.conj(np.fft.fft2(a)) * np.fft.fft2(b)
        if self._cross is None or self._cross.shape != cross.shape:
            self._cross = cross
        else:
            self._cross = _FORGET * self._cross + (1 - _FORGET) * cross
        return self._measured(np.fft.ifft2(self._cross).real, (width / size[0], height / size[1]))

    def _measured(self, surface: np.ndarray, scale: tuple[float, float]) -> Alignment:
        reach = round(_REACH * _WORK_WIDTH)
        reach_y = min(reach, (surface.shape[0] - 1) // 2)
        window = np.roll(surface, (reach_y, reach), (0, 1))[: 2 * reach_y + 1, : 2 * reach + 1]
        row, column = (int(n) for n in np.unravel_index(int(window.argmax()), window.shape))
        best, here = float(window[row, column]), float(window[reach_y, reach])
        typical = array_median(window)
        spread = 1.4826 * array_median(np.abs(window - typical))
        clearness = (best - typical) / spread if spread > 0 else 0.0
        score = (
            float(np.clip((here - typical) / (best - typical), 0, 1)) if clearness > 3 else np.nan
        )
        x = column - reach + peak_offset(window[row], column)
        y = row - reach_y + peak_offset(window[:, column], row)
        return Alignment(float(score), x * scale[0], y * scale[1], clearness)
