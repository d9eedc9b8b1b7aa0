# SPDX-License-Identifier: Apache-2.0
"""The parameter files of cameras fit the frames that these cameras send."""

from __future__ import annotations

import numpy as np
import pytest

from fusion_ros.parameters import FuseParameters
from fusion_ros.parameters.files import REPOSITORY, read_parameters
from fusion_ros.thermal.tone import ThermalToneMapper

# A frame of each camera in its type and size, all image pixels at 20 C (293.15 K) where it has a
# unit, and the size of the image in it.
CAMERAS = {
    "lepton_3_5": (np.full((120, 160), 29315, np.uint16), (120, 160)),
    "boson_640": (np.full((512, 640), 21000, np.uint16), (512, 640)),
    "gazebo": (np.full((240, 320), 29315, np.uint16), (240, 320)),
    "tau_2": (np.full((512, 640), round(293.15 / 0.04), np.uint16), (512, 640)),
    "oak_t": (np.full((192, 256), 20.0, np.float32), (192, 256)),
    "optris": (np.full((288, 382), 1200, np.uint16), (288, 382)),
    "seek": (np.full((240, 320), 20.0, np.float32), (240, 320)),
    "topdon_tc001": (
        np.repeat(np.array([[32896], [round(293.15 * 64)]], np.uint16), 192, 0).repeat(256, 1),
        (192, 256),
    ),
}


def test_every_file_is_tested() -> None:
    assert {path.stem for path in (REPOSITORY / "config/cameras").iterdir()} == set(CAMERAS)


@pytest.mark.parametrize("name", CAMERAS)
def test_camera_file_gives_image_and_temperature(name: str) -> None:
    file = REPOSITORY / "config/cameras" / f"{name}.yaml"
    values = FuseParameters.from_values(read_parameters(file))
    frame, shape = CAMERAS[name]
    numbers = ThermalToneMapper(values.tone_options()).without_defects(frame)
    assert numbers.shape == shape
    unit = values.tone_options().celsius_unit()
    if unit is None:
        assert name == "boson_640"
    else:
        np.testing.assert_allclose(unit.to_celsius(numbers), 20.0, atol=0.03)
