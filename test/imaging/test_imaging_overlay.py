# SPDX-License-Identifier: Apache-2.0
"""Thermal and visible image in one: all modes, with and without temperatures."""

from __future__ import annotations

import numpy as np
import pytest

from fusion_ros.imaging.marks import Mark
from fusion_ros.imaging.options import OVERLAY_MODES, OverlayOptions
from fusion_ros.imaging.overlay import overlay
from fusion_ros.imaging.palettes import palette_table

VISIBLE = np.full((120, 200, 3), 50, np.uint8)
RAMP = np.tile(np.linspace(0, 255, 200).astype(np.uint8), (120, 1))
CELSIUS = np.tile(np.linspace(10, 60, 200, dtype=np.float32), (120, 1))
PLAIN = {"palette": "white_hot", "scale_bar": False}


def test_blend_is_transparent_where_cold_and_coloured_where_hot() -> None:
    thermal = np.array([[0, 255]], np.uint8)
    cold, hot = overlay(VISIBLE[:1, :2], thermal, OverlayOptions(opacity=0.5, **PLAIN))[0]
    assert cold.tolist() == [50, 50, 50]
    np.testing.assert_allclose(hot, [152.5] * 3, atol=1)  # half of 50 and 255


def test_isotherm_shows_the_hottest_share_and_leaves_the_rest() -> None:
    options = OverlayOptions("isotherm", opacity=1.0, isotherm_percent=75.0, **PLAIN)
    row = overlay(VISIBLE, RAMP, options)[60, :, 0].astype(int)
    assert (row[:148] == 50).all()
    assert (np.diff(row[152:]) >= 0).all()
    assert row[152] > 60
    assert row[-1] == 255


def test_isotherm_by_temperature_is_exact_beyond_the_tone_curve() -> None:
    saturated = np.full_like(RAMP, 255)
    options = OverlayOptions("isotherm", opacity=1.0, isotherm_celsius=35.0, **PLAIN)
    row = overlay(VISIBLE, saturated, options, celsius=CELSIUS)[60, :, 0]
    np.testing.assert_array_equal(row != 50, CELSIUS[60] >= 35.0)


def test_edges_show_the_detail_of_the_visible_image_on_thermal_colours() -> None:
    visible = VISIBLE.copy()
    visible[:, 100:] = 90
    thermal = np.full(RAMP.shape, 128, np.uint8)
    row = overlay(visible, thermal, OverlayOptions("edges", **PLAIN))[60, :, 0].astype(int)
    assert row[99] < 120
    assert row[100] > 136
    assert row[[50, 150]].tolist() == [128, 128]


def test_inset_covers_a_corner_only() -> None:
    image = overlay(VISIBLE, RAMP, OverlayOptions("inset", **PLAIN))
    inset = image[-round(0.36 * 120) :, -round(0.36 * 200) :]
    assert (inset[0] == 255).all()
    assert np.ptp(inset[20, 2:-2].astype(int)) > 230
    image[-round(0.36 * 120) :, -round(0.36 * 200) :] = 50
    np.testing.assert_array_equal(image, VISIBLE)


def test_side_by_side_is_twice_as_wide() -> None:
    image = overlay(VISIBLE, RAMP, OverlayOptions("side_by_side", **PLAIN))
    np.testing.assert_array_equal(image[:, :200], VISIBLE)
    np.testing.assert_array_equal(image[:, 200:, 0], RAMP)


@pytest.mark.parametrize("mode", OVERLAY_MODES)
def test_outside_the_thermal_view_no_thermal_colour_is_shown(mode: str) -> None:
    weights = np.ones(RAMP.shape, np.float32)
    weights[:, 120:] = 0
    celsius = np.where(weights > 0, CELSIUS, np.nan).astype(np.float32)
    image = overlay(VISIBLE, RAMP, OverlayOptions(mode, **PLAIN), celsius=celsius, weights=weights)
    if mode == "side_by_side":
        assert not image[:, 320:].any()
    elif mode == "inset":
        assert (image[-40:-2, -28:-2] == 0).all()
    else:
        np.testing.assert_array_equal(image[:, 120:], VISIBLE[:, 120:])


def test_scale_bar_has_the_colours_of_the_palette_where_temperatures_are_known() -> None:
    visible = np.zeros((480, 640, 3), np.uint8)
    thermal = np.tile(np.linspace(0, 255, 640).astype(np.uint8), (480, 1))
    celsius = thermal / np.float32(10) + 20
    options = OverlayOptions("side_by_side", palette="iron")
    image = overlay(visible, thermal, options, celsius=celsius)
    bar = image[120:360, 640 + 12 + 6]
    np.testing.assert_array_equal(bar[[0, -1]], palette_table("iron")[[255, 0]])
    without = overlay(visible, thermal, options)
    assert (image[:, 652:760] != without[:, 652:760]).any(axis=2).mean() > 0.1
    np.testing.assert_array_equal(image[:, 800:], without[:, 800:])
    hidden = overlay(
        visible, thermal, OverlayOptions("side_by_side", "iron", scale_bar=False), celsius=celsius
    )
    np.testing.assert_array_equal(hidden, without)


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_marks_are_drawn_on_the_thermal_half_in_their_colour(order: str) -> None:
    corners = np.array([(50.0, 30.0), (80, 30), (80, 60), (50, 60)])
    marks = [
        Mark(corners, "box", (255, 200, 0)),
        Mark(np.array([(120.4, 89.6)])),
        Mark(np.array([(np.nan, 5.0)])),
    ]
    cold, options = np.zeros_like(RAMP), OverlayOptions("side_by_side", **PLAIN)
    image = overlay(VISIBLE, cold, options, order=order, marks=marks)
    image = image if order == "rgb" else image[..., ::-1]
    np.testing.assert_array_equal(image[:, :200], VISIBLE)
    shown = image[:, 200:]
    for x, y in ((50, 45), (80, 45), (65, 30), (65, 60)):
        assert shown[y, x].tolist() == [255, 200, 0]
    assert shown[90, 120].tolist() == [255, 255, 255]
    assert not shown[35:56, 55:76].any()
    assert shown[20:29, 48:80].any()  # the label
    assert not shown[:, 130:].any()


def test_frame_without_any_temperature_is_shown() -> None:
    nothing = np.full(RAMP.shape, np.nan, np.float32)
    for mode in OVERLAY_MODES:
        overlay(VISIBLE, RAMP, OverlayOptions(mode), celsius=nothing)


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
