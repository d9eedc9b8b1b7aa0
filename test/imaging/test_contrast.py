# SPDX-License-Identifier: Apache-2.0
"""Contrast stretching and local equalisation of single images."""

from __future__ import annotations

import numpy as np
import pytest

from fusion_ros.imaging.contrast import equalised, stretched


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("stride", [1, 4])
def test_image_is_stretched_over_all_grey_levels(dtype: type, stride: int) -> None:
    ramp = np.tile(np.linspace(40, 240, 400), (300, 1)).astype(dtype)
    grey = stretched(ramp, 1.0, 99.7, stride=stride)
    assert (grey.dtype, grey.min(), grey.max()) == (np.uint8, 0, 255)
    assert (np.diff(grey[0].astype(int)) >= 0).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_pixels_count_as_cold(bad: float) -> None:
    image = np.tile(np.linspace(10, 30, 400, dtype=np.float32), (300, 1))
    image[5, 200] = bad
    assert stretched(image)[5, 200] == 0


@pytest.mark.parametrize("fill", [20.0, np.nan])
def test_image_without_contrast_becomes_black(fill: float) -> None:
    assert not stretched(np.full((40, 40), fill, np.float32)).any()


def test_equalisation_raises_weak_local_contrast() -> None:
    image = np.tile(np.linspace(0, 10_000, 160), (120, 1))
    image[::2] += 200
    step = np.abs(np.diff(equalised(image).astype(int), axis=0)).mean()
    assert step > 1.5 * np.abs(np.diff(stretched(image).astype(int), axis=0)).mean()
