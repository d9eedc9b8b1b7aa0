# SPDX-License-Identifier: Apache-2.0
"""Overlap of the two images under a calibration."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fusion_ros.registration.geometry import (
    Calibration,
    GeometryError,
    HomographyCalibration,
    Size,
)
from fusion_ros.registration.sampling_map import thermal_pixels

LEAST_OVERLAP = 0.01
"""Smallest share of the visible or thermal image, whichever is larger, that must be covered."""
_LEAST_VISIBLE = 1e-4
_GRID = (160, 120)


class Overlap(NamedTuple):
    """Shares, 0 to 1. `thermal` is the share of the overlap's bounding box in the thermal image."""

    visible: float
    thermal: float

    def __str__(self) -> str:
        return (
            f"{100 * self.visible:.2g} % of the visible and {100 * self.thermal:.2g} % of the "
            "thermal image"
        )


def overlap(calibration: Calibration, distance_m: float = 0.0) -> Overlap:
    """Measure the overlap on a coarse grid.

    `distance_m` is that of a rig's plane; 0 means the calibration's distance.
    """
    visible, thermal = sizes_of(calibration)
    x, y = np.linspace(0, visible.width - 1, _GRID[0]), np.linspace(0, visible.height - 1, _GRID[1])
    points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    pixels = thermal_pixels(calibration, points, distance_m)
    with np.errstate(invalid="ignore"):
        inside = (pixels >= -0.5) & (pixels <= np.array([thermal.width, thermal.height]) - 0.5)
    pixels = pixels[inside.all(axis=1)]
    if not len(pixels):
        return Overlap(0.0, 0.0)
    # A grid cell at each border of the overlap counts half.
    spread = np.ptp(pixels, axis=0) * (1 + 1 / np.sqrt(len(pixels)))
    covered = np.minimum(spread / (thermal.width, thermal.height), 1.0)
    return Overlap(len(pixels) / len(points), float(covered[0] * covered[1]))


def check_overlap(calibration: Calibration, distance_m: float = 0.0) -> Overlap:
    """Refuse a calibration under which the thermal image covers nothing.

    Raises:
        GeometryError: with the shares, the allowed values and the figures to check.
    """
    found = overlap(calibration, distance_m)
    if max(found) >= LEAST_OVERLAP and found.visible >= _LEAST_VISIBLE:
        return found
    where = "the homography"
    if not isinstance(calibration, HomographyCalibration):
        at_m = distance_m or calibration.distance_m
        where = f"rotation, baseline ({calibration.baseline_m:g} m) and distance ({at_m:g} m)"
    raise GeometryError(
        f"the two images overlap in {found}; allowed is {100 * LEAST_OVERLAP:g} % and more of "
        f"one of them: check {where}"
    )


def sizes_of(calibration: Calibration) -> tuple[Size, Size]:
    """Return the sizes of the visible and the thermal image in a calibration."""
    if isinstance(calibration, HomographyCalibration):
        return calibration.visible_size, calibration.thermal_size
    return calibration.visible.size, calibration.thermal.size
