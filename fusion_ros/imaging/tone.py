# SPDX-License-Identifier: Apache-2.0
"""Thermal frames in whatever their sensor counts, brought to the network's 8 bits."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

_ABSURD = 1e6
"""Float readings of this size and more are rubbish in every thermal unit there is."""


@dataclass(frozen=True)
class ToneOptions:
    """How a thermal frame is brought to 8 bits. Spans are in the sensor's own units.

    Raises:
        ValueError: an option outside its range.
    """

    low_percent: float = 0.5
    """Share of pixels, in percent, that may be cut off as black."""
    high_percent: float = 99.5
    """Share of pixels, in percent, above which the rest is cut off as white."""
    minimum_span: float = 0.0
    """Smallest difference that is stretched over black to white, in the sensor's units; a flat
    scene then stays flat instead of turning into noise. 0: taken from the frame's own noise."""

    def __post_init__(self) -> None:
        if not 0 <= self.low_percent < self.high_percent <= 100:
            raise ValueError(
                f"low_percent is {self.low_percent} and high_percent is {self.high_percent}; "
                "allowed is 0 <= low_percent < high_percent <= 100"
            )
        if not 0 <= self.minimum_span < float("inf"):
            raise ValueError(f"minimum_span is {self.minimum_span}; allowed is 0 and more")


class ThermalToneMapper:
    """Thermal frames to `uint8`: 8-bit passes through, 16-bit and float is stretched.

    One object for one camera: it may keep state from frame to frame; `reset` forgets it.
    """

    def __init__(self, options: ToneOptions | None = None) -> None:
        self.options = options or ToneOptions()

    def reset(self) -> None:
        """Forget what earlier frames taught: the clock jumped, or another camera begins."""

    def __call__(self, thermal: np.ndarray, stamp_ns: int | None = None) -> np.ndarray:
        """`uint8` HxW of `thermal` (HxW `uint8`, `uint16` or `float32`).

        NaN and -inf become black, +inf white. `stamp_ns` is the frame's time, for smoothing over
        time; without it every frame stands for itself.

        Raises:
            ValueError: not HxW, or another type.
        """
        if thermal.ndim != 2 or thermal.dtype not in (np.uint8, np.uint16, np.float32):
            raise ValueError(
                f"thermal is {thermal.dtype} of shape {thermal.shape}; "
                "allowed is uint8, uint16 or float32 of shape (height, width)"
            )
        if thermal.dtype == np.uint8:
            return thermal
        low, high = self._limits(thermal)
        scale = 255.0 / (high - low)
        if thermal.dtype == np.float32:
            thermal = np.nan_to_num(thermal, nan=low)
            np.clip(thermal, low, high, out=thermal)
        return cv2.addWeighted(thermal, scale, thermal, 0.0, -low * scale, dtype=cv2.CV_8U)

    def _limits(self, thermal: np.ndarray) -> tuple[float, float]:
        # Every fourth pixel each way: 1/16 of the work, and percentiles hardly move.
        stride = 4 if min(thermal.shape) >= 64 else 1
        sample = thermal[::stride, ::stride]
        values = sample[np.abs(sample) < _ABSURD] if thermal.dtype == np.float32 else sample
        if values.size == 0:
            return 0.0, 1.0
        low, high = (
            float(v)
            for v in np.percentile(values, [self.options.low_percent, self.options.high_percent])
        )
        span = max(self.options.minimum_span or self._noise_span(thermal), 1e-6)
        if high - low < span:
            middle = (low + high) / 2
            low, high = middle - span / 2, middle + span / 2
        return low, high

    @staticmethod
    def _noise_span(thermal: np.ndarray) -> float:
        """A span that keeps the frame's own noise to about six grey levels."""
        steps = np.abs(np.diff(thermal[::8].astype(np.float32), axis=1))
        steps = steps[steps < _ABSURD]
        # In pure noise a quarter of the steps between neighbours is below 0.45 sigma.
        sigma = float(np.percentile(steps, 25)) / 0.45 if steps.size else 0.0
        # Coarsely quantised counts hide their noise: at least 16 counts, or 0.16 degrees.
        return max(40.0 * sigma, 16.0 if thermal.dtype == np.uint16 else 0.16)
