# SPDX-License-Identifier: Apache-2.0
"""Map thermal frames from sensor counts to the network's 8 bits."""

from __future__ import annotations

import cv2
import numpy as np

from fusion_ros.thermal.gain_jump import GainStabiliser
from fusion_ros.thermal.region import region_mask, sampled
from fusion_ros.thermal.sensor_defects import (
    INVALID,
    DeadPixelMask,
    image_rows,
    valid_readings,
)
from fusion_ros.thermal.tone_curve import KNOTS, distribution, smallest_span, straight, target_curve
from fusion_ros.thermal.tone_options import ToneOptions
from fusion_ros.thermal.tone_smoothing import CurveSmoother

_MEDIAN_PIXELS = 1000
_GREYS = np.linspace(0.0, 255.0, KNOTS)


class ThermalToneMapper:
    """Maps thermal frames of one camera to `uint8`, smoothly over time.

    It keeps state from frame to frame; `reset` discards it.

    The tone curve lags by one frame while the scene continues: a frame is mapped with the curve of
    the frames before it. Its own target curve is computed afterwards, either in `learn`, outside
    the latency of the frame, or at the next frame. The images are the same.
    """

    def __init__(self, options: ToneOptions | None = None) -> None:
        self.options = options or ToneOptions()
        self._dead_pixels = DeadPixelMask(self.options.dead_pixels)
        self._smoother = CurveSmoother(self.options.smoothing_s, self.options.scene_change)
        self._stabiliser = GainStabiliser(self.options.smoothing_s)
        self._to_learn: tuple[np.ndarray, tuple[float, float] | None] | None = None
        self._least_span = 0.0
        self._table = np.zeros(65536, np.uint8)
        self._inverts = self.options.polarity != self.options.input_polarity
        tiles = (self.options.clahe_tiles, self.options.clahe_tiles)
        self._clahe = cv2.createCLAHE(self.options.clahe_clip, tiles)

    def reset(self) -> None:
        """Discard the state of earlier frames, after a jump of the clock or a change of camera."""
        self._smoother.reset()
        self._stabiliser.reset()
        self._to_learn = None

    def __call__(
        self, thermal: np.ndarray, stamp_ns: int | None = None, *, learn_later: bool = False
    ) -> np.ndarray:
        """Map a thermal frame to `uint8` HxW, without its telemetry rows.

        NaN and -inf count as the coldest value, +inf as the hottest.

        Args:
            thermal: HxW, `uint8`, `uint16` or `float32`.
            stamp_ns: stamp of the frame, for smoothing over time; None: no smoothing.
            learn_later: the caller calls `learn` soon, and leaves `thermal` unchanged until then.

        Returns:
            `thermal` itself if no mapping is needed, else a new array.

        Raises:
            ValueError: another shape or type, or not more rows than telemetry rows.
        """
        options, thermal = self.options, self.without_defects(thermal)
        if thermal.dtype == np.uint8 and options.eight_bit != "map":
            if options.eight_bit == "stabilise":
                thermal = self._stabiliser(thermal, stamp_ns)
            return cv2.bitwise_not(thermal) if self._inverts else thermal
        extremes = None
        if thermal.dtype == np.float32:
            thermal, extremes = _only_numbers(thermal)
        self.learn()
        curve, detail_per_unit = self._curve(thermal, extremes, stamp_ns)
        grey = self._apply(thermal, curve)
        if not learn_later:
            self.learn()
        if options.detail_gain:
            _add_detail(grey, thermal, detail_per_unit)
        if options.mode == "clahe":
            grey = self._clahe.apply(grey)
        return cv2.bitwise_not(grey, dst=grey) if self._inverts else grey

    def without_defects(self, thermal: np.ndarray) -> np.ndarray:
        """Return the frame in its own numbers, without rows that are no image and dead pixels.

        Raises:
            ValueError: as for a call.
        """
        if thermal.ndim != 2 or thermal.dtype not in (np.uint8, np.uint16, np.float32):
            raise ValueError(
                f"thermal is {thermal.dtype} of shape {thermal.shape}; "
                "allowed is uint8, uint16 or float32 of shape (height, width)"
            )
        return self._dead_pixels(image_rows(thermal, self.options))

    def median_celsius(self, thermal: np.ndarray) -> float | None:
        """Return the median of a frame in degrees Celsius, from a sample.

        None where the unit is not known, for colours, and without a valid reading.
        """
        unit = self.options.celsius_unit()
        if unit is None or thermal.ndim != 2:
            return None
        sample = sampled(self.without_defects(thermal), _MEDIAN_PIXELS, None)
        readings = valid_readings(sample)
        sample = sample if readings is None else sample[readings]
        return unit.at(float(np.median(sample))) if sample.size else None

    def learn(self) -> None:
        """Compute the target curve of the last frame, if that is still to be done."""
        if self._to_learn is None:
            return
        (thermal, extremes), self._to_learn = self._to_learn, None
        integer = thermal.dtype != np.float32
        mask = region_mask(self.options.region, thermal.shape)
        if mask is not None or extremes is None:
            extremes = cv2.minMaxLoc(thermal, mask)[:2]
        found = distribution(thermal, *extremes, mask)
        self._smoother.set_target(target_curve(self.options, found, integer), found)
        self._least_span = smallest_span(self.options, found.noise, integer)

    def _curve(
        self, thermal: np.ndarray, extremes: tuple[float, float] | None, stamp_ns: int | None
    ) -> tuple[np.ndarray, float]:
        """Return the curve for this frame, and the grey levels per unit of fine detail.

        `extremes` are the frame's smallest and largest value, if known.
        """
        if self.options.mode == "fixed":
            low, high = sorted(self.options.fixed_limits())
            return straight(low, high), 255.0 / (high - low) * self.options.detail_gain
        self._to_learn = thermal, extremes
        if not self._smoother.continues(
            thermal, stamp_ns, region_mask(self.options.region, thermal.shape)
        ):
            self.learn()
        curve = self._smoother.at(stamp_ns)
        span = max(float(curve[-1] - curve[0]), self._least_span)
        return curve, 255.0 / span * self.options.detail_gain

    def _apply(self, thermal: np.ndarray, curve: np.ndarray) -> np.ndarray:
        low, high = float(curve[0]), float(curve[-1])
        if thermal.dtype == np.float32:
            # A line needs no table. For a curve, 4096 equal steps are finer than its grey levels.
            steps = 4096 if self.options.mode == "histogram" else 256
            scale = (steps - 1) / (high - low)
            kind = cv2.CV_16U if steps > 256 else cv2.CV_8U
            thermal = cv2.addWeighted(thermal, scale, thermal, 0.0, -low * scale, dtype=kind)
            if steps == 256:
                return thermal
            curve, low, high = (curve - low) * scale, 0.0, steps - 1.0
        first = int(np.clip(np.floor(low), 0, 65535))
        last = int(np.clip(np.ceil(high), first, 65535))
        self._table[:first] = 0
        greys = np.interp(np.arange(first, last + 1), curve, _GREYS)
        self._table[first : last + 1] = np.rint(greys)
        self._table[last + 1 :] = 255
        if thermal.dtype == np.uint8:
            return cv2.LUT(thermal, self._table[:256])
        if _OPENCV_LOOKS_UP:
            return cv2.LUT(thermal, self._table.reshape(-1, 1))
        return np.take(self._table, thermal)


def _add_detail(grey: np.ndarray, thermal: np.ndarray, greys_per_unit: float) -> None:
    """Add the difference to a 3x3 mean, in place."""
    blurred = cv2.blur(thermal, (3, 3))
    detail = cv2.addWeighted(
        thermal, greys_per_unit, blurred, -greys_per_unit, 0.0, dtype=cv2.CV_32F
    )
    cv2.add(grey, detail, dst=grey, dtype=cv2.CV_8U)


def _only_numbers(thermal: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
    """Return `thermal`, copied and repaired if it has invalid values, and its extremes."""
    low, high = float(thermal.min()), float(thermal.max())
    if low > -INVALID and high < INVALID:  # false for NaN
        return thermal, (low, high)
    valid = valid_readings(thermal)
    if valid is None or not valid.any():
        return np.zeros_like(thermal), (0.0, 0.0)
    low, high = float(thermal[valid].min()), float(thermal[valid].max())
    numbers = np.clip(np.nan_to_num(thermal, nan=low, posinf=high, neginf=low), low, high)
    return numbers, (low, high)


def _has_16_bit_tables() -> bool:
    """Return whether OpenCV looks up 16-bit numbers, in half of NumPy's time; 4.8 does not."""
    try:
        cv2.LUT(np.zeros((1, 1), np.uint16), np.zeros((65536, 1), np.uint8))
    except cv2.error:
        return False
    return True


_OPENCV_LOOKS_UP = _has_16_bit_tables()
