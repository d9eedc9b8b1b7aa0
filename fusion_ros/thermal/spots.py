# SPDX-License-Identifier: Apache-2.0
"""Hottest and coldest place of a thermal frame, and its connected regions above a threshold."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from fusion_ros.thermal.region import sampled
from fusion_ros.thermal.spot_options import SpotOptions
from fusion_ros.thermal.units import LinearUnit

_MOST_REGIONS = 16
_MEDIAN_PIXELS = 5000


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
    inside a hole of another one counts with it.
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
        frame: HxW, `uint8`, `uint16` or `float32`; pixels that are not finite are ignored.
        unit: conversion of its numbers to degrees Celsius; None: values are counts.
        options: which regions are reported.

    Returns:
        Places in pixels of the frame, values in degrees Celsius or counts. None if no pixel is
        finite.
    """
    unit = unit or LinearUnit(1.0, 0.0)
    if unit.scale < 0:  # hotter is a smaller number
        frame, unit = unit.to_celsius(frame), LinearUnit(1.0, 0.0)
    valid = None
    if frame.dtype == np.float32 and not (finite := np.isfinite(frame)).all():
        valid = finite.astype(np.uint8)
        if not valid.any():
            return None
    low, high, low_at, high_at = cv2.minMaxLoc(frame, valid)
    threshold = options.limit if options.mode != "off" else math.nan
    if options.mode == "above_median":
        threshold += unit.at(float(np.median(sampled(frame, _MEDIAN_PIXELS, valid))))
    limit = unit.from_celsius(threshold)
    regions: tuple[Spot, ...] = ()
    if high >= limit:
        limit = limit if frame.dtype == np.float32 else math.ceil(limit)
        hot: np.ndarray = cv2.compare(frame, limit, cv2.CMP_GE)  # type: ignore[call-overload]
        hot = hot if valid is None else cv2.bitwise_and(hot, hot, mask=valid)
        regions = tuple(_regions(frame, hot, unit, options.least_area_px))
    return Spots(_pixel(high_at, unit.at(high)), _pixel(low_at, unit.at(low)), threshold, regions)


def _regions(
    frame: np.ndarray, hot: np.ndarray, unit: LinearUnit, least_area_px: int
) -> list[Spot]:
    """Return the regions of a mask, the hottest first."""
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
        area_px = cv2.countNonZero(own)
        if area_px >= least_area_px:
            _, value, _, (x, y) = cv2.minMaxLoc(frame[box], own)
            found.append(Spot(left + x, top + y, unit.at(value), left, top, width, height, area_px))
    return sorted(found, key=lambda spot: -spot.value)


def _pixel(at: Sequence[int], value: float) -> Spot:
    return Spot(at[0], at[1], value, at[0], at[1], 1, 1, 1)
