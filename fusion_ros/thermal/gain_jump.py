# SPDX-License-Identifier: Apache-2.0
"""Compensate jumps of gain and offset in 8-bit thermal streams with automatic gain control.

Where most of the scene is static, the grey of each pixel now against its grey in the previous frame
gives the change of gain as a straight line. The line is inverted in the frame. The correction fades
out with a time constant, so that the camera's new gain appears slowly instead of as a jump.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

_SAMPLE_PIXELS = 12000
_SMALLEST_JUMP = 1.5
"""Mean change, in grey levels, below which a frame is not corrected."""
_STILL_SHARE = 0.6
"""Share of the sampled pixels that must lie on one line for the scene to count as static."""


class GainStabiliser:
    """Compensates jumps of gain and offset in a stream of `uint8` HxW frames of one camera."""

    def __init__(self, fade_s: float) -> None:
        self.fade_s = fade_s
        self.reset()

    def reset(self) -> None:
        """Discard the previous frame and the current correction."""
        self._previous: tuple[np.ndarray, float, int] | None = None  # sample, mean, stamp
        self.gain, self.offset = 1.0, 0.0

    def __call__(self, frame: np.ndarray, stamp_ns: int | None) -> np.ndarray:
        """Return `frame` at the previous gain; `frame` itself without a jump."""
        if stamp_ns is None:
            return frame
        stride = max(1, math.isqrt(frame.size // _SAMPLE_PIXELS))
        sample = frame[stride // 2 :: stride, stride // 2 :: stride].flatten()  # a copy
        level = cv2.mean(sample)[0]
        previous, self._previous = self._previous, (sample, level, stamp_ns)
        if previous is None or previous[0].size != sample.size or stamp_ns < previous[2]:
            self.gain, self.offset = 1.0, 0.0
        else:
            before, level_before, stamp_before_ns = previous
            self._fade((stamp_ns - stamp_before_ns) * 1e-9)
            # The mean excludes nearly every frame from the costly comparison.
            if abs(level - level_before) >= _SMALLEST_JUMP / 2:
                self._match(before.astype(np.float32), sample.astype(np.float32))
        if abs(self.gain - 1) * 255 + abs(self.offset) < 0.5:
            self.gain, self.offset = 1.0, 0.0
            return frame
        table = np.arange(256, dtype=np.float32) * self.gain + self.offset
        return cv2.LUT(frame, np.clip(np.rint(table), 0, 255).astype(np.uint8))

    def _match(self, before: np.ndarray, now: np.ndarray) -> None:
        """Correct a jump between these samples, if there is one."""
        if _line(before, now, smallest=_SMALLEST_JUMP) is None:
            return
        # Fitted to the previous output, not to its input: errors do not add up over jumps.
        shown = np.clip(before * self.gain + self.offset, 0, 255)
        self.gain, self.offset = _line(now, shown, smallest=0.0) or (self.gain, self.offset)

    def _fade(self, elapsed_s: float) -> None:
        left = math.exp(-elapsed_s / self.fade_s) if self.fade_s > 0 else 0.0
        self.gain, self.offset = 1 + (self.gain - 1) * left, self.offset * left


def _line(before: np.ndarray, now: np.ndarray, smallest: float) -> tuple[float, float] | None:
    """Return gain and offset from `before` to `now` (`float32`, the same pixels).

    None if the scene moves too much for an estimate, or if the change is below `smallest` grey
    levels. Pixels that are black or white in either frame are not used.
    """
    usable = (before > 2) & (before < 253) & (now > 2) & (now < 253)
    if usable.mean() < 0.2:
        return None
    x, y = before[usable], now[usable]
    keep = np.ones(x.size, bool)
    for _ in range(4):
        mean_x, mean_y = float(x[keep].mean()), float(y[keep].mean())
        spread = x[keep] - mean_x
        variance = float(spread @ spread)
        if variance < 1.0 * spread.size:
            return None
        a = float(spread @ (y[keep] - mean_y)) / variance
        b = mean_y - a * mean_x
        if not 0.3 < a < 3.0:
            return None
        residual = np.abs(y - a * x - b)
        limit = max(2.0, 2.5 * float(np.median(residual)))
        keep = residual < limit
        if keep.mean() < _STILL_SHARE:
            return None
    moved = abs((a - 1) * mean_x + b)
    return (a, b) if limit < 8 and moved >= smallest else None
