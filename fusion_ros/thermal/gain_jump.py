# SPDX-License-Identifier: Apache-2.0
"""8-bit thermal streams whose camera changes its own gain from one frame to the next.

Where most of the picture stands still, the grey of a pixel now against its grey a frame ago tells
the change of gain as a straight line. The line is undone in the frame, and the correction fades
out with a time constant, so that the camera's new gain comes in slowly instead of as a jump.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

_SAMPLE_PIXELS = 12000
_SMALLEST_JUMP = 1.5
"""Mean change, in grey levels, below which a frame is taken as it is."""
_STILL_SHARE = 0.6
"""Share of the sampled pixels that must lie on one line for the scene to count as still."""


class GainStabiliser:
    """Undoes jumps of gain and offset in a stream of `uint8` HxW frames of one camera."""

    def __init__(self, fade_s: float) -> None:
        self.fade_s = fade_s
        self.reset()

    def reset(self) -> None:
        """Forget the frame before and the correction in use."""
        self._before: np.ndarray | None = None
        self._level = 0.0
        self._stamp_ns: int | None = None
        self.gain, self.offset = 1.0, 0.0

    def __call__(self, frame: np.ndarray, stamp_ns: int | None) -> np.ndarray:
        """`frame` as the gain in use before would have shown it; itself if nothing jumped."""
        if stamp_ns is None:
            return frame
        stride = max(1, math.isqrt(frame.size // _SAMPLE_PIXELS))
        sample = frame[stride // 2 :: stride, stride // 2 :: stride].flatten()  # a copy
        level = cv2.mean(sample)[0]
        before, then_ns = self._before, self._stamp_ns
        if before is None or before.size != sample.size or stamp_ns < then_ns:
            self.reset()
        else:
            self._fade((stamp_ns - then_ns) * 1e-9)
            # Nearly every frame ends here: what follows is many NumPy calls.
            if abs(level - self._level) >= _SMALLEST_JUMP / 2:
                self._match(before.astype(np.float32), sample.astype(np.float32))
        self._before, self._level, self._stamp_ns = sample, level, stamp_ns
        if abs(self.gain - 1) * 255 + abs(self.offset) < 0.5:
            self.gain, self.offset = 1.0, 0.0
            return frame
        table = np.arange(256, dtype=np.float32) * self.gain + self.offset
        return cv2.LUT(frame, np.clip(np.rint(table), 0, 255).astype(np.uint8))

    def _match(self, before: np.ndarray, now: np.ndarray) -> None:
        """Take up the correction that undoes a jump between these samples, if there is one."""
        if _line(before, now, smallest=_SMALLEST_JUMP) is None:
            return
        # Matched to what was shown, not to what came: errors do not add up over jumps.
        shown = np.clip(before * self.gain + self.offset, 0, 255)
        self.gain, self.offset = _line(now, shown, smallest=0.0) or (self.gain, self.offset)

    def _fade(self, elapsed_s: float) -> None:
        left = math.exp(-elapsed_s / self.fade_s) if self.fade_s > 0 else 0.0
        self.gain, self.offset = 1 + (self.gain - 1) * left, self.offset * left


def _line(before: np.ndarray, now: np.ndarray, smallest: float) -> tuple[float, float] | None:
    """Gain and offset from `before` to `now` (`float32`, the same pixels).

    None if the scene moves too much to tell, or the change is below `smallest` grey levels. Only
    pixels that are neither black nor white in both frames can tell.
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
