# SPDX-License-Identifier: Apache-2.0
"""False colours and the overlay image."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fusion_ros.imaging.options import PALETTES, OverlayOptions
from fusion_ros.imaging.palettes import colourised, overlay, palette_table


@pytest.mark.parametrize("name", [p for p in PALETTES if p != "turbo"])
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


def test_overlay_is_transparent_where_cold_and_coloured_where_hot() -> None:
    visible = np.full((1, 2, 3), 50, np.uint8)
    thermal = np.array([[0, 255]], np.uint8)
    cold, hot = overlay(visible, thermal, OverlayOptions("grey", opacity=0.5))[0]
    assert cold.tolist() == [50, 50, 50]
    np.testing.assert_allclose(hot, [152.5] * 3, atol=1)  # half of 50 and 255


def test_grey_visible_image_can_be_overlaid() -> None:
    grey = np.zeros((4, 5), np.uint8)
    assert overlay(grey, grey).shape == (4, 5, 3)


def test_invalid_options_and_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="'rainbow'"):
        OverlayOptions(palette="rainbow")
    with pytest.raises(ValueError, match="opacity is 2"):
        OverlayOptions(opacity=2)
    with pytest.raises(ValueError, match=r"\(2, 2\).*\(3, 3\)"):
        overlay(np.zeros((2, 2), np.uint8), np.zeros((3, 3), np.uint8))
