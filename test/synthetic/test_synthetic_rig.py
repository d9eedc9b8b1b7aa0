# SPDX-License-Identifier: Apache-2.0
"""The demo's rig and the calibration that ships for it belong together."""

from __future__ import annotations

import numpy as np
import pytest

from fusion_ros.calibration.files import load_calibration
from fusion_ros.registration.options import RegistrationOptions
from fusion_ros.registration.warp import ThermalRegistration
from fusion_ros.shipped_files import config_file
from fusion_ros.synthetic import Scene
from fusion_ros.synthetic.rig import as_the_thermal_camera_sees, thermal_to_visible


def test_the_shipped_calibration_is_the_rig_s():
    calibration = load_calibration(config_file("demo_calibration.yaml"))
    np.testing.assert_allclose(
        calibration.matrix / calibration.matrix[2, 2],
        thermal_to_visible((640, 480), (640, 480)),
        atol=1e-4,
    )


@pytest.mark.parametrize("size", [(640, 480), (320, 240)])
def test_registering_by_it_brings_the_picture_back_where_the_thermal_camera_sees(size):
    grey = Scene(*size, noise=0).visible(3.0)[..., 1]
    calibration = load_calibration(config_file("demo_calibration.yaml"))
    registration = ThermalRegistration(
        RegistrationOptions(mode="homography", feather_percent=0), calibration
    )
    back = registration(as_the_thermal_camera_sees(grey), grey.shape)
    seen = registration.validity(grey.shape, grey.shape) > 0.99
    assert 0.5 < seen.mean() < 0.85
    apart = np.abs(back.astype(int) - grey)[seen]
    askew = np.abs(as_the_thermal_camera_sees(grey).astype(int) - grey)[seen]
    assert apart.mean() < 0.15 * askew.mean()
