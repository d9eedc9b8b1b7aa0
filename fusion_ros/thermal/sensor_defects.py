# SPDX-License-Identifier: Apache-2.0
"""Telemetry rows and dead pixels of thermal sensors."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np


def without_telemetry(thermal: np.ndarray, top: int, bottom: int) -> np.ndarray:
    """Return a view without the first `top` and the last `bottom` rows.

    Raises:
        ValueError: no rows would be left.
    """
    if top + bottom >= thermal.shape[0]:
        raise ValueError(
            f"telemetry_rows_top is {top} and telemetry_rows_bottom is {bottom}, but the thermal "
            f"frame has only {thermal.shape[0]} rows; set the number of rows that this camera sends"
        )
    return thermal[top : thermal.shape[0] - bottom] if top or bottom else thermal


class DeadPixelMask:
    """Replaces listed pixels by the median of the intact ones around them."""

    def __init__(self, columns_and_rows: Sequence[int]) -> None:
        self._listed = list(zip(columns_and_rows[::2], columns_and_rows[1::2], strict=True))
        self._shape: tuple[int, ...] | None = None
        self._targets: list[tuple[int, int]] = []
        self._sources: list[tuple[np.ndarray, np.ndarray]] = []

    def __call__(self, thermal: np.ndarray) -> np.ndarray:
        """Return `thermal` itself if no pixels are listed, else a repaired copy.

        Raises:
            ValueError: a listed pixel is outside the frame.
        """
        if not self._listed:
            return thermal
        if thermal.shape != self._shape:
            self._prepare(thermal.shape)
        repaired = thermal.copy()
        for target, source in zip(self._targets, self._sources, strict=True):
            repaired[target] = np.median(thermal[source])
        return repaired

    def _prepare(self, shape: tuple[int, ...]) -> None:
        height, width = shape
        dead = np.zeros(shape, bool)
        for column, row in self._listed:
            if column >= width or row >= height:
                raise ValueError(
                    f"dead_pixels lists column {column}, row {row}; the thermal frame is "
                    f"{width} x {height}, counted from 0 (telemetry rows already removed)"
                )
            dead[row, column] = True
        self._targets, self._sources = [], []
        for row, column in np.argwhere(dead):
            for reach in range(1, max(shape)):
                top, left = max(row - reach, 0), max(column - reach, 0)
                alive = ~dead[top : row + reach + 1, left : column + reach + 1]
                if alive.any():
                    rows, columns = np.nonzero(alive)
                    self._targets.append((int(row), int(column)))
                    self._sources.append((rows + top, columns + left))
                    break
        self._shape = shape


def find_dead_pixels(frames: Sequence[np.ndarray], *, sigmas: float = 8.0) -> list[int]:
    """Find the pixels that differ from their neighbours in every frame.

    Use ten or more frames of a moving scene: a difference in all of them comes from the sensor.

    Args:
        frames: HxW, all of one type.
        sigmas: smallest difference, in multiples of the frame's mean local deviation.

    Returns:
        column, row, column, row ...
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
