# SPDX-License-Identifier: Apache-2.0
"""Hottest and coldest place, and regions above a threshold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_ros.thermal.spot_options import SpotOptions
from fusion_ros.thermal.spots import Spot, find_spots
from fusion_ros.thermal.units import LinearUnit, unit

CENTIKELVIN = unit("centikelvin")


def kelvin_counts(celsius: np.ndarray) -> np.ndarray:
    return np.rint((celsius + 273.15) * 100).astype(np.uint16)


@pytest.fixture
def scene() -> np.ndarray:
    """Return 20 degrees with two hot regions and a cold pixel."""
    celsius = np.full((120, 160), 20.0)
    celsius[30:34, 50:60] = 70
    celsius[31, 52] = 80
    celsius[100:103, 10:12] = 60
    celsius[5, 150] = 90  # a single pixel
    celsius[110, 140] = -10
    return celsius


def test_places_and_regions_have_degrees_boxes_and_areas(scene: np.ndarray) -> None:
    found = find_spots(kelvin_counts(scene), CENTIKELVIN, SpotOptions("absolute", 50.0))
    assert found.hottest == Spot(150, 5, pytest.approx(90), 150, 5, 1, 1, 1)
    assert found.coldest == Spot(140, 110, pytest.approx(-10), 140, 110, 1, 1, 1)
    assert found.threshold == 50.0
    assert found.regions == (
        Spot(52, 31, pytest.approx(80), 50, 30, 10, 4, 40),
        Spot(10, 100, pytest.approx(60), 10, 100, 2, 3, 6),
    )


def test_threshold_above_the_median_follows_the_scene(scene: np.ndarray) -> None:
    options = SpotOptions("above_median", 45.0)
    for shift in (0, 15):
        found = find_spots(kelvin_counts(scene + shift), CENTIKELVIN, options)
        assert found.threshold == pytest.approx(65 + shift, abs=0.01)
        assert [region.area_px for region in found.regions] == [40]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_counts_without_unit_and_falling_counts(scene: np.ndarray, dtype: type) -> None:
    counts = (scene + 100).astype(dtype)
    found = find_spots(counts, None, SpotOptions("absolute", 150.5))
    assert (found.hottest.value, found.coldest.value) == (190, 90)
    assert [region.value for region in found.regions] == [180, 160]
    falling = find_spots((240 - scene).astype(dtype), LinearUnit(-1, 240), SpotOptions("absolute"))
    assert [region.value for region in falling.regions] == pytest.approx([80, 60])
    assert falling.coldest.value == pytest.approx(-10)


@pytest.mark.parametrize("invalid", [np.nan, np.inf, -np.inf, 3.4e38, -1e6])
def test_values_that_are_not_finite_are_ignored(scene: np.ndarray, invalid: float) -> None:
    celsius = scene.astype(np.float32)
    celsius[60:80, 60:80] = invalid
    options = SpotOptions("absolute", 50.0)
    assert find_spots(celsius, unit("celsius"), options) == find_spots(
        scene.astype(np.float32), unit("celsius"), options
    )
    assert find_spots(np.full((4, 5), invalid, np.float32), None, options) is None


def test_spots_are_mapped_to_another_grid() -> None:
    frame = np.zeros((20, 30), np.uint8)
    frame[10:12, 5:9], frame[11, 8] = 100, 200
    spots = find_spots(frame, None, SpotOptions("absolute", 50.0))
    moved = spots.mapped(lambda points: points * 2 + 0.5)  # twice as many pixels, same view
    [region] = moved.regions
    assert (region.x, region.y) == (16.5, 22.5)
    assert (region.left, region.top, region.width, region.height) == (10, 20, 8, 4)
    assert (region.value, region.area_px, moved.threshold) == (200, 8, 50)


def test_uniform_and_noisy_frames_are_bounded() -> None:
    everywhere = find_spots(np.full((40, 50), 9, np.uint8), None, SpotOptions("absolute", 9.0))
    assert [region.area_px for region in everywhere.regions] == [2000]
    stripes = np.zeros((300, 400), np.uint8)
    stripes[:, ::4] = 9
    outlined = find_spots(stripes[:, :80], None, SpotOptions("absolute", 9.0))
    assert [region.area_px for region in outlined.regions] == [300] * 16
    assert find_spots(stripes, None, SpotOptions("absolute", 9.0)).regions == ()
    assert find_spots(stripes, None, SpotOptions("off")).regions == ()


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_a_hot_object_is_found_in_noise_around_the_threshold(dtype: type) -> None:
    frame = np.random.default_rng(0).normal(9000, 50, (401, 500)).astype(dtype)
    frame[100:116, 200:224] += 400
    if dtype is np.float32:
        frame[300:, 300:] = np.nan
    found = find_spots(frame, None, SpotOptions("absolute", 9075.0, least_area_px=100))
    [region] = found.regions
    assert 200 <= region.x < 224
    assert 100 <= region.y < 116
    assert (region.left, region.width) == pytest.approx((200, 24), abs=8)
    assert (region.top, region.height) == pytest.approx((100, 16), abs=8)
    assert region.area_px == pytest.approx(24 * 16, rel=0.3)


@given(seed=st.integers(0, 10**6), limit=st.integers(0, 255))
def test_regions_are_those_of_a_flood_fill(seed: int, limit: int) -> None:
    frame = np.random.default_rng(seed).integers(0, 256, (5, 6)).astype(np.uint8)
    found = find_spots(frame, None, SpotOptions("absolute", float(limit), least_area_px=1))
    left = {(x, y) for y, x in np.argwhere(frame >= limit)}
    expected = []
    while left:
        region, grow = set(), [left.pop()]
        while grow:
            x, y = grow.pop()
            region.add((x, y))
            near = {(x + i, y + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            left -= near
            grow += near
        expected.append((max(int(frame[y, x]) for x, y in region), len(region)))
    assert sum(spot.area_px for spot in found.regions) == sum(area for _, area in expected)
    assert {spot.value for spot in found.regions} <= {value for value, _ in expected}
