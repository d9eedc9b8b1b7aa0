# SPDX-License-Identifier: Apache-2.0
"""False colours of thermal images."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fusion_ros.imaging.options import PALETTES
from fusion_ros.imaging.palettes import colourised, palette_table


@pytest.mark.parametrize("name", ["white_hot", "inferno", "iron"])
def test_hotter_is_brighter_in_monotonic_palettes(name: str) -> None:
    luma = palette_table(name) @ np.array([0.299, 0.587, 0.114])
    assert (np.diff(luma) > -1.0).all()
    assert luma[-1] - luma[0] > 200


@pytest.mark.parametrize("name", PALETTES)
def test_grey_levels_map_to_the_palette_in_both_orders(name: str) -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    table = palette_table(name)
    np.testing.assert_array_equal(colourised(ramp, name).reshape(256, 3), table)
    np.testing.assert_array_equal(colourised(ramp, name, "bgr").reshape(256, 3), table[:, ::-1])


def test_inferno_is_opencvs_inferno() -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 256)
    np.testing.assert_array_equal(
        colourised(ramp, "inferno", "bgr"), cv2.applyColorMap(ramp, cv2.COLORMAP_INFERNO)
    )


def test_black_hot_is_inverted_white_hot() -> None:
    np.testing.assert_array_equal(palette_table("black_hot"), 255 - palette_table("white_hot"))
