# SPDX-License-Identifier: Apache-2.0
"""Signs that a valid calibration does not belong to the rig.

`registration.geometry` and `registration.overlap` refuse values that no rig has. The limits here
are those of a usual rig; an unusual one may exceed them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from fusion_ros.registration.geometry import (
    Calibration,
    CameraModel,
    HomographyCalibration,
    RigCalibration,
)
from fusion_ros.registration.overlap import check_overlap
from fusion_ros.registration.warp import ThermalRegistration

USUAL_BASELINE_M = 1.0
_USUAL_VIEW_DEGREES = (2.0, 140.0)
_USUAL_PIXEL_ASPECT = (0.8, 1.25)
_USUAL_CENTRE = (0.3, 0.7)
_USUAL_DISTANCE_M = (0.2, 10_000.0)
_USUAL_SCALE = (0.05, 20.0)
_USUAL_OVERLAP = 0.2
_USUAL_VISIBLE_SHARE = 0.02
_LENS_TOLERANCE_PX = 2.0


def check_calibration(calibration: Calibration, distance_m: float = 0.0) -> tuple[str, ...]:
    """Refuse a calibration that covers nothing; return a line for each reason to doubt it.

    `distance_m` is that of a rig's plane; 0 means the calibration's distance.

    Raises:
        GeometryError: the two images do not overlap.
    """
    if isinstance(calibration, HomographyCalibration):
        doubts = list(_homography(calibration))
    else:
        doubts = list(_rig(calibration, distance_m))
    found = check_overlap(calibration, distance_m)
    if max(found) < _USUAL_OVERLAP or found.visible < _USUAL_VISIBLE_SHARE:
        doubts.append(
            f"the two images overlap in {found}; usual is {100 * _USUAL_OVERLAP:g} % and more"
        )
    return tuple(doubts)


def registration_doubts(registration: ThermalRegistration) -> tuple[str, ...]:
    """Return the reasons to doubt a registration's calibration; empty without one."""
    calibration = registration.calibration
    if calibration is None:
        return ()
    return check_calibration(calibration, registration.options.distance_m)


def _homography(calibration: HomographyCalibration) -> Iterator[str]:
    across, down = calibration.scale
    for scale in (across, down):
        yield from _outside(scale, _USUAL_SCALE, "size of a thermal pixel", "visible pixels")
    yield from _outside(across / down, (0.5, 2.0), "width of a thermal pixel over its height", "")
    corners = np.column_stack((calibration.thermal_size.corners, np.ones(4)))
    moved = corners @ calibration.matrix.T
    x, y = (moved[:, :2] / moved[:, 2:]).T
    if float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) < 0:  # they run the other way
        yield "the homography mirrors the thermal image; usual for a camera behind a mirror only"


def _rig(rig: RigCalibration, distance_m: float) -> Iterator[str]:
    for name, camera in (("visible", rig.visible), ("thermal", rig.thermal)):
        yield from _camera(name, camera)
    if rig.baseline_m > USUAL_BASELINE_M:
        yield (
            f"the cameras are {rig.baseline_m:.3g} m apart; usual is 0 to {USUAL_BASELINE_M:g} m. "
            "Is the translation in centimetres, or in squares of a board? It must be in metres"
        )
    at_m = distance_m or rig.distance_m
    yield from _outside(at_m, _USUAL_DISTANCE_M, "distance at which the images align", "m")
    if rig.baseline_m > 0.5 * at_m:
        yield (
            f"the cameras are {rig.baseline_m:.3g} m apart and their images align at {at_m:g} m; "
            "usual is a distance of twice the baseline and more"
        )


def _camera(name: str, camera: CameraModel) -> Iterator[str]:
    size, matrix = camera.size, camera.matrix
    fx, fy, cx, cy = matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2]
    if camera.distortion_model != "equidistant":
        view = math.degrees(2 * math.atan(size.width / (2 * fx)))
        yield from _outside(view, _USUAL_VIEW_DEGREES, f"{name} camera's angle of view", "degrees")
    yield from _outside(fx / fy, _USUAL_PIXEL_ASPECT, f"{name} camera's fx over fy", "")
    low, high = _USUAL_CENTRE
    if not (low <= cx / size.width <= high and low <= cy / size.height <= high):
        yield (
            f"the {name} camera's centre is ({cx:.1f}, {cy:.1f}) in images of {size}; usual is "
            f"the middle. Is the matrix that of images of {2 * cx + 1:.0f} x {2 * cy + 1:.0f}?"
        )
    off_px = _lens_error_px(camera)
    if off_px > _LENS_TOLERANCE_PX:
        yield (
            f"the {name} camera's distortion cannot be inverted (off by {off_px:.1f} pixels inside "
            f"the image); usual is 0 to {_LENS_TOLERANCE_PX:g}. Are the coefficients "
            f"{list(camera.distortion)} of another lens model?"
        )


def _lens_error_px(camera: CameraModel) -> float:
    """Return the largest error of inverting the lens model, over the inner 80 % of the image."""
    width, height = camera.size.width, camera.size.height
    x, y = (np.linspace(0.1 * length, 0.9 * length, 9) for length in (width, height))
    pixels = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    rays = camera.rays(pixels)
    back = camera.project(np.column_stack((rays, np.ones(len(rays)))))
    if not np.isfinite(back).all():
        return math.inf
    return float(np.linalg.norm(back - pixels, axis=1).max())


def _outside(value: float, usual: tuple[float, float], what: str, unit: str) -> Iterator[str]:
    low, high = usual
    if not low <= value <= high:
        yield f"{what} is {value:.4g}; usual is {low:g} to {high:g} {unit}".rstrip()
