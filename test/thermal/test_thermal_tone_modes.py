# SPDX-License-Identifier: Apache-2.0
"""Tone modes, units, telemetry rows and dead pixels."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_ros.thermal import units as thermal_units
from fusion_ros.thermal.sensor_defects import DeadPixelMask, find_dead_pixels
from fusion_ros.thermal.tone import ThermalToneMapper
from fusion_ros.thermal.tone_options import ToneOptions

RANGES = {
    field.name: (field.metadata["low"], field.metadata["high"])
    for field in dataclasses.fields(ToneOptions)
    if field.metadata["low"] is not None
}
CHOICES = {
    field.name: field.metadata["choices"]
    for field in dataclasses.fields(ToneOptions)
    if field.metadata["choices"]
}


@pytest.fixture
def scene() -> np.ndarray:
    """Return a smooth background of 14-bit counts with a small hot object."""
    rng = np.random.default_rng(3)
    soft = cv2.GaussianBlur(rng.normal(size=(240, 320)), (0, 0), 12)
    counts = 8000 + soft / soft.std() * 60 + rng.normal(0, 2, soft.shape)
    counts[100:112, 200:208] = 8900 + np.arange(8) * 10
    return counts.astype(np.uint16)


# 20 C is 293.15 K; Optris counts tenths of a degree from -100 C.
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("celsius", 20.0),
        ("kelvin", 293.15),
        ("centikelvin", 29315),
        ("decikelvin", 2931.5),
        ("optris_tenths", 1200),
    ],
)
def test_units_agree_at_twenty_degrees(name: str, value: float) -> None:
    unit = thermal_units.unit(name)
    assert unit.to_celsius(np.array([value], np.float32)) == pytest.approx([20.0], abs=1e-4)
    assert unit.from_celsius(20.0) == pytest.approx(value)


def test_emissivity_inverts_the_measurement_formula() -> None:
    """A surface at 60 C with emissivity .8 before walls at 20 C: .8 * 60 + .2 * 20 = 52 C."""
    unit = ToneOptions(unit="centikelvin", emissivity=0.8, reflected_celsius=20).celsius_unit()
    assert unit.at(100 * (52 + 273.15)) == pytest.approx(60.0)
    # With radiation as T^4 instead of linear in T the surface is measured at 53.1 C.
    radiance = 0.8 * 333.15**4 + 0.2 * 293.15**4
    assert unit.at(100 * radiance**0.25) == pytest.approx(60.0, abs=1.5)
    with pytest.raises(ValueError, match=r"emissivity is 0\.8 and unit is 'counts'"):
        ToneOptions(emissivity=0.8)


@pytest.mark.parametrize(
    ("options", "counts"),
    [
        ({"unit": "centikelvin"}, [27315, 29815, 32315]),
        ({"unit": "optris_tenths"}, [1000, 1250, 1500]),
        ({"unit": "linear", "linear_scale": 0.04, "linear_offset": -40.0}, [1000, 1625, 2250]),
        ({"unit": "linear", "linear_scale": -0.1, "linear_offset": 100.0}, [1000, 750, 500]),
    ],
)
def test_fixed_range_in_celsius_applies_in_every_unit(options: dict, counts: list) -> None:
    mapper = ThermalToneMapper(ToneOptions(mode="fixed", fixed_low=0, fixed_high=50, **options))
    grey = mapper(np.array([counts], np.uint16))[0]
    if options.get("linear_scale", 1) < 0:
        grey = grey[::-1]  # falling counts: hotter is a smaller number
    assert grey[[0, 2]].tolist() == [0, 255]
    assert grey[1] in (127, 128)  # half way is 127.5


def test_fixed_range_in_counts_saturates_at_both_ends() -> None:
    mapper = ThermalToneMapper(ToneOptions(mode="fixed", fixed_low=100, fixed_high=355))
    assert mapper(np.array([[0, 100, 200, 355, 60000]], np.uint16)).tolist() == [
        [0, 0, 100, 255, 255]
    ]


@pytest.mark.parametrize("mode", ["fixed", "percentile", "histogram"])
@given(seed=st.integers(0, 10**6), as_float=st.booleans())
def test_hotter_is_never_darker(mode: str, seed: int, as_float: bool) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, rng.integers(1, 65536), (rng.integers(1, 40), rng.integers(1, 40)))
    counts = counts.astype(np.float32 if as_float else np.uint16)
    grey = ThermalToneMapper(ToneOptions(mode=mode, fixed_high=30000))(counts)
    order = np.argsort(counts, axis=None, kind="stable")
    assert (np.diff(grey.reshape(-1)[order].astype(int)) >= 0).all()


def test_equalisation_maps_equal_shares_of_pixels_to_equal_shares_of_grey() -> None:
    # Half the pixels are spread over 0 .. 999 and half over 1000 .. 9999.
    counts = np.concatenate((np.arange(9000) % 1000, 1000 + np.arange(9000)))
    counts = np.random.default_rng(0).permutation(counts).astype(np.uint16).reshape(120, 150)
    options = ToneOptions(
        plateau_percent=100, linear_percent=0, headroom=0, minimum_span=1, smoothing_s=0
    )
    grey = ThermalToneMapper(options)(counts)
    assert grey[counts == 999].mean() == pytest.approx(127.5, abs=4)


def test_histogram_separates_a_small_hot_object_and_shows_the_background(
    scene: np.ndarray,
) -> None:
    histogram = ThermalToneMapper()(scene)
    stretched = cv2.normalize(scene, None, 0, 255, cv2.NORM_MINMAX, cv2.CV_8U)
    hot = np.s_[100:112, 200:208]
    ring = np.s_[90:98, 190:218]
    assert histogram[hot].mean() - histogram[ring].mean() > 60
    assert histogram[:80].std() > 2 * stretched[:80].std()


def test_stuck_pixels_have_little_effect_on_the_range(scene: np.ndarray) -> None:
    stuck = scene.copy()
    stuck[5, 5], stuck[7, 9] = 65535, 0
    difference = cv2.absdiff(ThermalToneMapper()(stuck), ThermalToneMapper()(scene))
    difference[5, 5] = difference[7, 9] = 0
    assert difference.max() < 20  # black to white there would leave 65535 / 255 = 1 grey of it


def test_floats_and_counts_of_one_scene_are_mapped_alike(scene: np.ndarray) -> None:
    celsius = scene.astype(np.float32) / 100 - 50
    options = ToneOptions(minimum_span=0.01)
    difference = cv2.absdiff(ThermalToneMapper(options)(celsius), ThermalToneMapper()(scene))
    assert difference.max() <= 4


def test_local_equalisation_shows_more_texture_than_a_linear_curve(scene: np.ndarray) -> None:
    def texture(mode: str) -> float:
        return cv2.Laplacian(ThermalToneMapper(ToneOptions(mode=mode))(scene), cv2.CV_32F).std()

    assert texture("clahe") > texture("percentile")


def test_detail_gain_raises_fine_structure_and_leaves_the_mean(scene: np.ndarray) -> None:
    plain = ThermalToneMapper()(scene)
    sharp = ThermalToneMapper(ToneOptions(detail_gain=2.0))(scene)
    assert cv2.Laplacian(sharp, cv2.CV_32F).std() > 1.3 * cv2.Laplacian(plain, cv2.CV_32F).std()
    assert float(sharp.mean()) == pytest.approx(float(plain.mean()), abs=1)


def test_black_hot_is_inverted_white_hot(scene: np.ndarray) -> None:
    white = ThermalToneMapper()(scene)
    black = ThermalToneMapper(ToneOptions(polarity="black_hot"))(scene)
    np.testing.assert_array_equal(black, 255 - white)


def test_black_hot_camera_is_inverted_to_white_hot() -> None:
    frame = np.array([[0, 10, 255]], np.uint8)
    mapper = ThermalToneMapper(ToneOptions(input_polarity="black_hot", eight_bit="pass"))
    assert mapper(frame).tolist() == [[255, 245, 0]]


def test_eight_bit_frames_can_be_mapped_like_counts() -> None:
    frame = np.tile(np.arange(100, 140, dtype=np.uint8), (20, 1))
    grey = ThermalToneMapper(ToneOptions(mode="percentile", eight_bit="map"))(frame)
    assert grey.min() == 0
    assert grey.max() == 255


LOWER_HALF = (0.0, 0.5, 1.0, 0.5, 1.0, 1.0, 0.0, 1.0)


@pytest.mark.parametrize("mode", ["percentile", "histogram"])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_pixels_outside_the_region_have_no_effect_on_the_curve(
    mode: str, dtype: type, scene: np.ndarray
) -> None:
    frame = scene.astype(dtype)
    options = ToneOptions(mode=mode, region=LOWER_HALF, minimum_span=20)
    mapper, second = ThermalToneMapper(options), 1_000_000_000
    greys = []
    for n, sky in enumerate((500, 3000, 60_000)):
        frame[:120] = sky
        frame[:120] += np.arange(320, dtype=dtype)
        greys.append(mapper(frame, n * second // 30))
        assert greys[-1][:120].max() == (255 if sky > 8000 else 0)
    for grey in greys:
        np.testing.assert_array_equal(grey[121:], greys[0][121:])
    alone = ThermalToneMapper(ToneOptions(mode=mode, minimum_span=20))(frame[120:])
    assert np.abs(greys[0][121:].astype(int) - alone[1:]).mean() < 3


@pytest.mark.parametrize(
    "region", [(0.0, 0.0, 1.0, 1.0), (0.0, 0.0, 1.0, 0.0, 1.0), (0, 0, 2, 0, 1, 1), (0.5,) * 6]
)
def test_region_is_a_polygon_inside_the_frame(region: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"^region is \("):
        ToneOptions(region=region)


def test_telemetry_rows_are_removed_before_mapping() -> None:
    frame = np.full((514, 640), 7000, np.uint16)
    frame[::2] += 100
    plain = ThermalToneMapper()(frame[:512])
    frame[512:] = np.arange(640)
    options = ToneOptions(telemetry_rows_bottom=2)
    np.testing.assert_array_equal(ThermalToneMapper(options)(frame), plain)


def test_lower_half_of_a_two_half_frame_is_used() -> None:
    """Topdon and InfiRay: a rendering of 192 rows above 192 rows of counts."""
    counts = np.random.default_rng(0).integers(7000, 8000, (192, 256)).astype(np.uint16)
    both = np.vstack((np.full_like(counts, 255), counts))
    mapper = ThermalToneMapper(ToneOptions(crop_top_percent=50))
    np.testing.assert_array_equal(mapper.without_defects(both), counts)
    np.testing.assert_array_equal(mapper(both), ThermalToneMapper()(counts))
    with pytest.raises(ValueError, match=r"crop_top_percent is 60 .*crop_bottom_percent is 40"):
        ToneOptions(crop_top_percent=60, crop_bottom_percent=40)


def test_more_telemetry_than_rows_is_refused() -> None:
    with pytest.raises(ValueError, match=r"telemetry_rows_top is 2 .* only 3 rows"):
        ThermalToneMapper(ToneOptions(telemetry_rows_top=2, telemetry_rows_bottom=1))(
            np.zeros((3, 4), np.uint16)
        )


def test_dead_pixels_become_the_median_of_intact_neighbours() -> None:
    frame = np.arange(25, dtype=np.uint16).reshape(5, 5)
    expected = frame.copy()
    frame[2, 1] = frame[2, 2] = 9999  # neighbours of each other are not used
    repaired = DeadPixelMask([1, 2, 2, 2])(frame)
    expected[2, 1] = np.median([5, 6, 7, 10, 15, 16, 17])
    expected[2, 2] = np.median([6, 7, 8, 13, 16, 17, 18])
    np.testing.assert_array_equal(repaired, expected)
    assert frame[2, 2] == 9999


def test_dead_pixels_outside_the_frame_are_refused_with_the_frame_size() -> None:
    with pytest.raises(ValueError, match=r"column 5, row 0.*5 x 4"):
        ThermalToneMapper(ToneOptions(dead_pixels=(5, 0)))(np.zeros((4, 5), np.uint16))


def test_find_dead_pixels_ignores_moving_hot_spots() -> None:
    rng = np.random.default_rng(0)
    frames = []
    for n in range(10):
        frame = cv2.GaussianBlur(rng.normal(8000, 200, (60, 80)), (0, 0), 4).astype(np.uint16)
        frame[30, 10 + n] = 12000  # a hot spot that moves
        frame[4, 7] = 0
        frames.append(frame)
    assert find_dead_pixels(frames) == [7, 4]


@pytest.mark.parametrize("name", list(RANGES))
def test_numbers_outside_their_range_are_refused_by_name(name: str) -> None:
    for value in (RANGES[name][0] - 1, RANGES[name][1] + 1, float("nan")):
        with pytest.raises(ValueError, match=name):
            ToneOptions(**{name: value})


@pytest.mark.parametrize("name", list(CHOICES))
def test_words_outside_the_choice_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is 'else'.*{CHOICES[name][-1]}"):
        ToneOptions(**{name: "else"})


@pytest.mark.parametrize("pixels", [(1,), (1, -2)])
def test_dead_pixels_come_in_pairs(pixels: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="dead_pixels"):
        ToneOptions(dead_pixels=pixels)
