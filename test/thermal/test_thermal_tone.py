# SPDX-License-Identifier: Apache-2.0
"""Thermal counts, Kelvin and Celsius to 8 bits."""

from __future__ import annotations

import numpy as np
import pytest

from fusion_ros.thermal.tone import ThermalToneMapper
from fusion_ros.thermal.tone_options import ToneOptions


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_the_given_percentiles_become_black_and_white(dtype: type) -> None:
    ramp = np.tile(np.arange(1001), (20, 1)).astype(dtype)  # percent p is the value 10 p
    mapper = ThermalToneMapper(ToneOptions(mode="percentile", low_percent=10, high_percent=90))
    mapped = mapper(ramp)[0]
    assert mapped.dtype == np.uint8
    assert (mapped[:101] == 0).all()
    assert (mapped[900:] == 255).all()
    assert mapped[500] == pytest.approx(127.5, abs=1)  # the middle of 100 .. 900


def test_eight_bit_frames_pass_through() -> None:
    frame = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert ThermalToneMapper()(frame) is frame


def test_a_flat_scene_stays_flat() -> None:
    noise = np.random.default_rng(0).normal(30000, 3, (120, 160)).astype(np.uint16)
    assert ThermalToneMapper()(noise).std() < 12


def test_a_span_below_the_minimum_is_widened_around_its_middle() -> None:
    frame = np.full((8, 8), 20.0, np.float32)
    frame[:, 4:] = 21.0
    mapped = ThermalToneMapper(ToneOptions(mode="percentile", minimum_span=10.0))(frame)
    # 20.5 is the middle of 15.5 .. 25.5, so 20 is 45 % of it and 21 is 55 %.
    assert mapped[0].tolist() == [115] * 4 + [140] * 4


def test_nan_and_minus_infinity_are_black_and_infinity_is_white() -> None:
    frame = np.tile(np.linspace(10, 30, 40, dtype=np.float32), (10, 1))
    frame[2, 20], frame[3, 20], frame[4, 20] = np.nan, np.inf, -np.inf
    mapped = ThermalToneMapper()(frame)
    assert mapped[2:5, 20].tolist() == [0, 255, 0]
    np.testing.assert_array_equal(mapped[0], mapped[9])


@pytest.mark.parametrize("fill", [np.nan, np.inf, -np.inf, 3e38, -3e38])
def test_frame_without_valid_values_is_mapped(fill: float) -> None:
    mapped = ThermalToneMapper()(np.full((6, 7), fill, np.float32))
    assert mapped.shape == (6, 7)
    assert len(np.unique(mapped)) == 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (3, 1), (1, 100_000), (100_000, 1)])
def test_the_smallest_frames_are_mapped(shape: tuple[int, int]) -> None:
    assert ThermalToneMapper()(np.full(shape, 300, np.uint16)).shape == shape


@pytest.mark.parametrize(
    "frame", [np.zeros((2, 2), np.int32), np.zeros((2, 2, 3), np.uint8), np.zeros(4, np.uint16)]
)
def test_other_types_and_shapes_are_refused(frame: np.ndarray) -> None:
    with pytest.raises(ValueError, match=str(frame.dtype)):
        ThermalToneMapper()(frame)


def test_percentiles_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match=r"low_percent is 60 .*high_percent is 40"):
        ToneOptions(low_percent=60, high_percent=40)


def test_the_median_is_in_degrees_of_the_valid_readings() -> None:
    frame = np.full((40, 50), 29315, np.uint16)
    frame[:15] = 40_000
    assert ThermalToneMapper().median_celsius(frame) is None
    mapper = ThermalToneMapper(ToneOptions(unit="centikelvin"))
    assert mapper.median_celsius(frame) == pytest.approx(20.0)
    assert mapper.median_celsius(np.zeros((40, 50, 3), np.uint8)) is None
    celsius = np.where(np.arange(2000).reshape(40, 50) % 3, np.float32(np.nan), np.float32(21.5))
    mapper = ThermalToneMapper(ToneOptions(unit="celsius"))
    assert mapper.median_celsius(celsius) == 21.5
    assert mapper.median_celsius(np.full_like(celsius, np.inf)) is None
