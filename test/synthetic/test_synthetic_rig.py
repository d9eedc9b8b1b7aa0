# SPDX-License-Identifier: Apache-2.0
"""The rig of the demo and its shipped calibration agree."""

from __future__ import annotations

import numpy as np
import pytest

from fusion_ros.calibration.files import load_calibration
from fusion_ros.files.shipped import config_file
from fusion_ros.registration.options import RegistrationOptions
from fusion_ros.registration.warp import ThermalRegistration
from fusion_ros.synthetic import Scene
from fusion_ros.synthetic.rig import seen_by_thermal_camera, thermal_to_visible


def test_the_shipped_calibration_is_that_of_the_rig() -> None:
    calibration = load_calibration(config_file("demo_calibration.yaml"))
    np.testing.assert_allclose(
        calibration.matrix / calibration.matrix[2, 2],
        thermal_to_visible((640, 480), (640, 480)),
        atol=1e-4,
    )


@pytest.mark.parametrize("size", [(640, 480), (320, 240)])
def test_registration_undoes_the_view_of_the_thermal_camera(size: tuple[int, int]) -> None:
    grey = Scene(*size, noise=0).visible(3.0)[..., 1]
    calibration = load_calibration(config_file("demo_calibration.yaml"))
    registration = ThermalRegistration(
        RegistrationOptions(mode="homography", feather_percent=0), calibration
    )
    back = registration(seen_by_thermal_camera(grey), grey.shape)
    seen = registration.validity(grey.shape, grey.shape) > 0.99
    assert 0.5 < seen.mean() < 0.85
    apart = np.abs(back.astype(int) - grey)[seen]
    askew = np.abs(seen_by_thermal_camera(grey).astype(int) - grey)[seen]
    assert apart.mean() < 0.15 * askew.mean()
