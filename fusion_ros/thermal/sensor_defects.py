# SPDX-License-Identifier: Apache-2.0
"""Rows of a thermal frame that are no image, invalid readings, and dead pixels."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from fusion_ros.thermal.tone_options import ToneOptions
from fusion_ros.thermal.units import LinearUnit

INVALID = 1e6
"""Float readings of this size and more are invalid, as are NaN and infinity."""


def valid_readings(thermal: np.ndarray) -> np.ndarray | None:
    """Return which pixels of a frame are readings (bool HxW); None where all are."""
    if thermal.dtype != np.float32 or not thermal.size:
        return None
    # NaN where any reading is; three times faster than a mask.
    if thermal.min() > -INVALID and thermal.max() < INVALID:
        return None
    return np.abs(thermal) < INVALID


def degrees(thermal: np.ndarray, unit: LinearUnit) -> np.ndarray:
    """Return a frame in degrees Celsius, `float32` HxW, NaN at invalid readings."""
    readings = valid_readings(thermal)
    celsius = unit.to_celsius(thermal)
    return celsius if readings is None else np.where(readings, celsius, np.float32(np.nan))


def image_rows(thermal: np.ndarray, options: ToneOptions) -> np.ndarray:
    """Return a view without the cropped share, then without telemetry rows.

    Raises:
        ValueError: no rows would be left.
    """
    rows = thermal.shape[0]
    top = round(rows * options.crop_top_percent / 100) + options.telemetry_rows_top
    bottom = round(rows * options.crop_bottom_percent / 100) + options.telemetry_rows_bottom
    if top + bottom >= rows:
        raise ValueError(
            f"telemetry_rows_top is {options.telemetry_rows_top} and telemetry_rows_bottom is "
            f"{options.telemetry_rows_bottom} beside crop_top_percent {options.crop_top_percent:g} "
            f"and crop_bottom_percent {options.crop_bottom_percent:g}, but the thermal frame has "
            f"only {rows} rows; set the number of rows that this camera sends"
        )
    return thermal[top : rows - bottom] if top or bottom else thermal


class DeadPixelMask:
    """Replaces listed pixels by the median of the intact ones around them."""

    def __init__(self, columns_and_rows: Sequence[int]) -> None:
        self._listed = list(zip(columns_and_rows[::2], columns_and_rows[1::2], strict=True))
        self._shape: tuple[int, ...] | None = None
        self._sources: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}

    def __call__(self, thermal: np.ndarray) -> np.ndarray:
        """Return `thermal` itself if no pixels are listed, else a repaired copy.

        Raises:
            ValueError: a listed pixel is outside the frame.
        """
        if not self._listed:
            return thermal
        if thermal.shape != self._shape:
            self._sources = self._intact_around(thermal.shape)
            self._shape = thermal.shape
        repaired = thermal.copy()
        for pixel, source in self._sources.items():
            repaired[pixel] = np.median(thermal[source])
        return repaired

    def _intact_around(
        self, shape: tuple[int, ...]
    ) -> dict[tuple[int, int], tuple[np.ndarray, np.ndarray]]:
        """Return rows and columns of the nearest intact pixels by row and column of a dead one."""
        height, width = shape
        dead = np.zeros(shape, bool)
        for column, row in self._listed:
            if column >= width or row >= height:
                raise ValueError(
                    f"dead_pixels lists column {column}, row {row}; the thermal frame is "
                    f"{width} x {height}, counted from 0 (telemetry rows already removed)"
                )
            dead[row, column] = True
        found = {}
        for column, row in self._listed:
            for reach in range(1, max(shape)):
                top, left = max(row - reach, 0), max(column - reach, 0)
                rows, columns = np.nonzero(~dead[top : row + reach + 1, left : column + reach + 1])
                if rows.size:
                    found[row, column] = rows + top, columns + left
                    break
        return found


def find_dead_pixels(frames: Sequence[np.ndarray], *, sigmas: float = 8.0) -> list[int]:
    """Find the pixels that differ from their neighbours in every frame.

    Use ten or more frames (HxW) of a moving scene: a difference in all of them comes from the
    sensor. `sigmas` is the smallest difference, in multiples of the frame's mean local deviation.
    Returns column, row, column, row ...
    """
    always: np.ndarray | None = None
    for frame in frames:
        frame = frame.astype(np.float32)
        away = np.abs(frame - cv2.medianBlur(frame, 3))
        differs = away > sigmas * max(float(away.mean()), 1e-6)
        always = differs if always is None else always & differs
    if always is None:
        return []
    return [int(n) for row, column in np.argwhere(always) for n in (column, row)]
