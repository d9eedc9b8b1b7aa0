# SPDX-License-Identifier: Apache-2.0
"""Contrast of labelled objects: cases worked by hand, and NumPy as a second implementation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fusion_ros.metrics import object_contrast


def stripes(low: float, high: float) -> torch.Tensor:
    """40x40 pixels with columns of two values in turn."""
    return torch.tensor([low, high], dtype=torch.float64).repeat(40, 20)


def test_a_bright_person_is_measured_in_spreads_of_its_surroundings():
    image = stripes(0.2, 0.4)  # mean .3, standard deviation .1
    image[16:24, 16:20] = 0.8
    assert object_contrast(image, [(16, 16, 20, 24)]).tolist() == pytest.approx([5])


def test_a_person_darker_than_its_surroundings_has_a_negative_contrast():
    image = stripes(0.5, 0.7)
    image[16:24, 16:20] = 0.4
    assert object_contrast(image, [(16, 16, 20, 24)]).tolist() == pytest.approx([-2])


def test_even_surroundings_have_a_spread_of_one_grey_level():
    image = torch.full((40, 40), 0.5, dtype=torch.float64)
    image[16:24, 16:20] = 0.5 + 3 / 255
    assert object_contrast(image, [(16, 16, 20, 24)]).tolist() == pytest.approx([3])


def test_surroundings_end_at_the_border_of_the_image():
    image = torch.from_numpy(np.random.default_rng(1).random((40, 40)))
    box = (32.0, 32.0, 40.0, 44.0)
    outside = np.zeros((40, 40), bool)
    outside[26:40, 28:40] = True
    outside[32:40, 32:40] = False
    pixels = image.numpy()
    wanted = (pixels[32:, 32:].mean() - pixels[outside].mean()) / pixels[outside].std()
    assert object_contrast(image, [box]).tolist() == pytest.approx([wanted])


def test_a_box_with_too_few_pixels_in_the_image_has_no_contrast():
    image = stripes(0.2, 0.4)
    boxes = [(0, 0, 3, 5), (50, 50, 60, 60), (0, 0, 40, 40), (4, 4, 8, 8)]
    values = object_contrast(image, boxes)
    assert torch.isnan(values).tolist() == [True, True, True, False]
    assert object_contrast(image, []).shape == (0,)


def test_a_box_that_is_not_finite_has_no_contrast():
    nan, inf = float("nan"), float("inf")
    boxes = [(nan, 0, 8, 8), (0, 0, inf, 8), (-1.7e308, 0, 1.7e308, 8), (16, 16, 20, 24)]
    assert object_contrast(stripes(0.2, 0.4), boxes).isnan().tolist() == [True, True, True, False]


def test_other_tensors_are_refused():
    with pytest.raises(TypeError, match="uint8"):
        object_contrast(torch.zeros(40, 40, dtype=torch.uint8), [])
    with pytest.raises(ValueError, match="1, 40, 40"):
        object_contrast(torch.zeros(1, 40, 40), [])
