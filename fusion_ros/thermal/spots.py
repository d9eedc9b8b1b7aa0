# SPDX-License-Identifier: Apache-2.0
"""Hottest and coldest place of a thermal frame, and its connected regions above a threshold."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from fusion_ros.thermal.region import sampled
from fusion_ros.thermal.sensor_defects import INVALID, valid_readings
from fusion_ros.thermal.spot_options import SpotOptions
from fusion_ros.thermal.units import LinearUnit

_MOST_REGIONS = 16
_MEDIAN_PIXELS = 5000
_MOST_STARTS = 200
_MOST_EDGE_PIXELS = 6000
_CORNERS = ((0, 0), (1, 0), (0, 1), (1, 1))
_BEFORE = np.array([[1, 1, 1], [1, 0, 0], [0, 0, 0]], np.uint8)
_BESIDE = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)


class Spot(NamedTuple):
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
        """Return the spots on another grid; `to_other` converts points, `float64` Nx2 (x, y)."""
        spots = np.array((self.hottest, self.coldest, *self.regions))
        places, values, begin, size, areas = np.split(spots, (2, 3, 5, 7), axis=1)
        # A box begins at the edge of its first pixel, half a pixel before the centre.
        corners = [begin - 0.5 + size * np.array(share) for share in _CORNERS]
        moved = to_other(np.concatenate((places, *corners))).reshape(5, -1, 2)
        begin, size = moved[1:].min(axis=0) + 0.5, np.ptp(moved[1:], axis=0)
        rows = np.hstack((moved[0], values, begin, size)).tolist()
        hottest, coldest, *regions = (
            Spot._make((*row, round(area)))
            for row, area in zip(rows, areas[:, 0].tolist(), strict=True)
        )
        return Spots(hottest, coldest, self.threshold, tuple(regions))


def find_spots(frame: np.ndarray, unit: LinearUnit | None, options: SpotOptions) -> Spots | None:
    """Find the spots of a thermal frame, HxW in `uint8`, `uint16` or `float32`.

    Places are in pixels of the frame, values in degrees Celsius, or in counts without `unit`. None
    without a valid reading; invalid ones are ignored.
    """
    unit = unit or LinearUnit(1.0, 0.0)
    if unit.scale < 0:  # hotter is a smaller number
        frame, unit = unit.to_celsius(frame), LinearUnit(1.0, 0.0)
    readings = None
    # NaN where any reading is; faster than a mask.
    coldest, hottest = (divmod(int(n), frame.shape[1]) for n in (frame.argmin(), frame.argmax()))
    if not (frame[coldest] > -INVALID and frame[hottest] < INVALID):
        readings = valid_readings(frame)
        if readings is None or not readings.any():
            return None
        *_, coldest, hottest = cv2.minMaxLoc(frame, readings.view(np.uint8))
        coldest, hottest = coldest[::-1], hottest[::-1]
    threshold = options.limit if options.mode != "off" else math.nan
    if options.mode == "above_median":
        threshold += unit.at(float(np.median(sampled(frame, _MEDIAN_PIXELS, readings))))
    limit = unit.from_celsius(threshold)
    regions: list[Spot] = []
    if frame[hottest] >= limit:
        regions = _regions(frame, readings, limit, unit, options.least_area_px)
    hot, cold = (
        Spot(column, row, unit.at(float(frame[row, column])), column, row, 1, 1, 1)
        for row, column in (hottest, coldest)
    )
    return Spots(hot, cold, threshold, tuple(regions))


def _regions(
    frame: np.ndarray,
    readings: np.ndarray | None,
    limit: float,
    unit: LinearUnit,
    least_area_px: int,
) -> list[Spot]:
    """Return the regions of readings of `limit` and more, the hottest first."""
    size = np.array(frame.shape)
    limit = limit if frame.dtype == np.float32 else max(0, math.ceil(limit))
    hot = frame >= limit
    if readings is not None:
        hot &= readings
    while _is_ragged(hot.view(np.uint8)):
        if readings is not None:
            frame = frame.copy()
            np.copyto(frame, -np.inf, where=~readings)
            readings = None
        half = [max(1, n // 2) for n in frame.shape[::-1]]
        frame = cv2.resize(frame, half, interpolation=cv2.INTER_AREA)
        hot = frame >= limit
    mask = hot.view(np.uint8)
    down, across = (float(n) for n in size / frame.shape)
    # Outlines are found several times faster than connected components are labelled.
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    found = []
    for outline in sorted(outlines, key=len)[: -_MOST_REGIONS - 1 : -1]:
        left, top, width, height = cv2.boundingRect(outline)
        box = np.s_[top : top + height, left : left + width]
        own = cv2.fillPoly(
            np.zeros((height, width), np.uint8), [outline], 255, offset=(-left, -top)
        )
        own = cv2.bitwise_and(own, mask[box])
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


def _is_ragged(mask: np.ndarray) -> bool:
    """Return whether outlines of a mask (`uint8` of 0 and 1) would take too long."""
    area_px = cv2.countNonZero(mask)
    if area_px <= _MOST_STARTS:
        return False
    # Each region has a pixel with none before it.
    starts = cv2.subtract(mask, cv2.dilate(mask, _BEFORE))
    if cv2.countNonZero(starts) > _MOST_STARTS:
        return True
    inner = cv2.erode(mask, _BESIDE) if area_px > _MOST_EDGE_PIXELS else mask
    return area_px - cv2.countNonZero(inner) > _MOST_EDGE_PIXELS
