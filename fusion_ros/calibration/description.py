# SPDX-License-Identifier: Apache-2.0
"""A calibration as text: its mode, its content and the expected parallax."""

from __future__ import annotations

import math

from fusion_ros.registration.geometry import Calibration, HomographyCalibration, parallax_px

_DISTANCES = (0.25, 0.5, 2.0, math.inf)
"""Multiples of the aligned distance at which the parallax is listed."""


def registration_mode(calibration: Calibration) -> str:
    """Return the mode of `RegistrationOptions` that uses this kind of calibration."""
    return "homography" if isinstance(calibration, HomographyCalibration) else "calibrated"


def summary(calibration: Calibration) -> str:
    """Return the content of a calibration in a line."""
    if isinstance(calibration, HomographyCalibration):
        across, down = calibration.scale
        text = f"homography, thermal {calibration.thermal_size} to visible "
        text += f"{calibration.visible_size}, a thermal pixel is {across:.2f} x {down:.2f} large"
        exact_m = calibration.exact_distance_m
        return f"{text}, exact at {exact_m:g} m" if exact_m else text
    return (
        f"two cameras, visible {calibration.visible.size}, thermal {calibration.thermal.size}, "
        f"{calibration.baseline_m * 1000:.0f} mm apart, the images align at "
        f"{calibration.distance_m:g} m"
    )


def expected_parallax_px(calibration: Calibration) -> dict[float, float]:
    """Return the misalignment in visible pixels by distance in metres.

    Empty for a homography, which has no baseline.
    """
    if isinstance(calibration, HomographyCalibration):
        return {}
    focal_px = float(calibration.visible.matrix[0, 0])
    exact_m = calibration.distance_m
    return {
        exact_m * factor: abs(
            parallax_px(calibration.baseline_m, focal_px, exact_m, exact_m * factor)
        )
        for factor in _DISTANCES
    }
