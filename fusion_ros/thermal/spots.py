# SPDX-License-Identifier: Apache-2.0
"""Hottest and coldest place of a thermal frame, and its connected regions above a threshold."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from fusion_ros.thermal.region import sampled
from fusion_ros.thermal.sensor_defects import valid_readings
from fusion_ros.thermal.spot_options import SpotOptions
from fusion_ros.thermal.units import LinearUnit

_MOST_REGIONS = 16
_MEDIAN_PIXELS = 5000
_MOST_STARTS = 200
_MOST_EDGE_PIXELS = 6000
_BEFORE = np.array([[1, 1, 1], [1, 0, 0], [0, 0, 0]], np.uint8)
_BESIDE = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)


@dataclass(frozen=True)
class Spot:
    """A region, or a single pixel."""

    x: float
    y: float
    """Column and row of its hottest pixel (of the coldest spot: its coldest one)."""
    value: float
    """At that pixel, in degrees Celsius or counts."""
    left: float
    top: float
    width: float
    height: float
    area_px: int
    """In pixels of the thermal frame."""


@dataclass(frozen=True)
class Spots:
    """Result for one frame.

    `regions` begins with the hottest and has at most those with the 16 longest outlines. A region
    inside a hole of another one counts with it. Where noise around the threshold makes hundreds of
    regions, means of cells of 2x2 pixels (or of 4x4, 8x8, ...) are compared instead of pixels.
    """

    hottest: Spot
    coldest: Spot
    threshold: float
    """NaN without one."""
    regions: tuple[Spot, ...]

    def mapped(self, to_other: Callable[[np.ndarray], np.ndarray]) -> Spots:
        """Return the spots on another pixel grid.

        Args:
            to_other: converts points, both `float64` Nx2 (x, y).
        """
        spots = (self.hottest, self.coldest, *self.regions)
        points = [
            (x, y)
            for s in spots
            for x, y in (
                (s.x, s.y),
                *((s.left + i * s.width, s.top + j * s.height) for i in (0, 1) for j in (0, 1)),
            )
        ]
        # A box begins at the edge of its first pixel, half a pixel before the centre.
        moved = to_other(np.array(points) - np.tile([[0.0], *[[0.5]] * 4], (len(spots), 1)))
        found = []
        for spot, (place, *corners) in zip(spots, moved.reshape(-1, 5, 2), strict=True):
            left, top = np.min(corners, axis=0) + 0.5
            width, height = np.ptp(corners, axis=0)
            x, y = (float(n) for n in place)
            found.append(
                replace(
                    spot, x=x, y=y, left=float(left), top=float(top),
                    width=float(width), height=float(height),
                )
            )  # fmt: skip
        hottest, coldest, *regions = found
        return Spots(hottest, coldest, self.threshold, tuple(regions))


def find_spots(frame: np.ndarray, unit: LinearUnit | None, options: SpotOptions) -> Spots | None:
    """Find the spots of a thermal frame.

    Args:
        frame: HxW, `uint8`, `uint16` or `float32`; invalid readings are ignored.
        unit: conversion of its numbers to degrees Celsius; None: values are counts.
        options: which regions are reported.

    Returns:
        Places in pixels of the frame, values in degrees Celsius or counts. None without a
        valid reading.
    """
    unit = unit or LinearUnit(1.0, 0.0)
    if unit.scale < 0:  # hotter is a smaller number
        frame, unit = unit.to_celsius(frame), LinearUnit(1.0, 0.0)
    valid = None
    if (readings := valid_readings(frame)) is not None:
        valid = readings.astype(np.uint8)
        if not valid.any():
            return None
    low, high, low_at, high_at = cv2.minMaxLoc(frame, valid)
    threshold = options.limit if options.mode != "off" else math.nan
    if options.mode == "above_median":
        threshold += unit.at(float(np.median(sampled(frame, _MEDIAN_PIXELS, valid))))
    limit = unit.from_celsius(threshold)
    regions: list[Spot] = []
    if high >= limit:
        if valid is not None:
            frame = np.where(valid, frame, np.float32(-np.inf))
        regions = _regions(frame, limit, unit, options.least_area_px)
    return Spots(
        _pixel(high_at, unit.at(high)), _pixel(low_at, unit.at(low)), threshold, tuple(regions)
    )


def _regions(frame: np.ndarray, limit: float, unit: LinearUnit, least_area_px: int) -> list[Spot]:
    """Return the regions of values of `limit` and more, the hottest first."""
    size = np.array(frame.shape[::-1])
    limit = limit if frame.dtype == np.float32 else math.ceil(limit)
    while _is_ragged(hot := cv2.compare(frame, limit, cv2.CMP_GE)):  # type: ignore[call-overload]
        half = [max(1, n // 2) for n in frame.shape[::-1]]
        frame = cv2.resize(frame, half, interpolation=cv2.INTER_AREA)
    across, down = (float(n) for n in size / frame.shape[::-1])
    # Outlines are found several times faster than connected components are labelled.
    outlines, _ = cv2.findContours(hot, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    found = []
    for outline in sorted(outlines, key=len)[: -_MOST_REGIONS - 1 : -1]:
        left, top, width, height = cv2.boundingRect(outline)
        box = np.s_[top : top + height, left : left + width]
        own = cv2.fillPoly(
            np.zeros((height, width), np.uint8), [outline], 255, offset=(-left, -top)
        )
        own = cv2.bitwise_and(own, hot[box])
        area_px = round(cv2.countNonZero(own) * across * down)
        if area_px >= least_area_px:
            _, value, _, (x, y) = cv2.minMaxLoc(frame[box], own)
            found.append(
                Spot(
                    (left + x + 0.5) * across - 0.5, (top + y + 0.5) * down - 0.5, unit.at(value),
                    left * across, top * down, width * across, height * down, area_px,
                )
            )  # fmt: skip
    return sorted(found, key=lambda spot: -spot.value)


def _is_ragged(hot: np.ndarray) -> bool:
    """Return whether outlines of a mask (`uint8` of 0 and 255) would take too long."""
    area_px = cv2.countNonZero(hot)
    # Each region has a pixel with none before it.
    if area_px > _MOST_STARTS and _left(hot, cv2.dilate(hot, _BEFORE)) > _MOST_STARTS:
        return True
    return area_px > _MOST_EDGE_PIXELS and _left(hot, cv2.erode(hot, _BESIDE)) > _MOST_EDGE_PIXELS


def _left(hot: np.ndarray, other: np.ndarray) -> int:
    return cv2.countNonZero(cv2.subtract(hot, other))


def _pixel(at: Sequence[int], value: float) -> Spot:
    return Spot(at[0], at[1], value, at[0], at[1], 1, 1, 1)
