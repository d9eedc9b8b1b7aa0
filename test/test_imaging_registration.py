# SPDX-License-Identifier: Apache-2.0
"""The thermal frame on the visible grid."""

from __future__ import annotations

import numpy as np
import pytest

from fusion_ros.imaging.registration import RegistrationOptions, ThermalRegistration


def test_equal_sizes_pass_through() -> None:
    frame = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert ThermalRegistration()(frame, (2, 3, 3)) is frame


def test_shrinking_averages_the_pixels_that_fall_together() -> None:
    frame = np.array([[0, 10, 100, 110], [20, 30, 120, 130]], np.uint8)
    assert ThermalRegistration()(frame, (1, 2)).tolist() == [[15, 115]]


def test_growing_keeps_pixel_centres_where_they_belong() -> None:
    # Each new pair of pixels lies a quarter to either side of the old centre.
    assert ThermalRegistration()(np.array([[0, 100]], np.uint8), (1, 4)).tolist() == [
        [0, 25, 75, 100]
    ]


def test_mode_none_refuses_unequal_sizes_and_names_both() -> None:
    registration = ThermalRegistration(RegistrationOptions(mode="none"))
    with pytest.raises(ValueError, match=r"4 x 3 .* 8 x 6"):
        registration(np.zeros((3, 4), np.uint8), (6, 8))


def test_stretching_leaves_every_pixel_valid() -> None:
    assert ThermalRegistration().validity((3, 4), (6, 8)) is None


def test_an_unknown_mode_is_refused_with_the_allowed_ones() -> None:
    with pytest.raises(ValueError, match=r"'warp'.*none, resize"):
        RegistrationOptions(mode="warp")
