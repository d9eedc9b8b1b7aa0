# SPDX-License-Identifier: Apache-2.0
"""Rivals in the benchmarks are written for speed; they must still be the methods they are named."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from benchmarks.rivals import IfcnnLike, SeaFusionLike, counted, guided_filter, laplacian_pyramid
from fusion_ros.metrics import baselines


@pytest.mark.parametrize(
    ("fast", "plain"),
    [
        (laplacian_pyramid, baselines.laplacian_pyramid),
        (guided_filter, baselines.guided_filter),
    ],
)
def test_a_classical_rival_gives_the_picture_of_the_method_that_quality_is_compared_with(
    fast: Callable[..., np.ndarray], plain: Callable[..., np.ndarray]
) -> None:
    generator = np.random.default_rng(4)
    # Noise, so that no two coefficients are equal and rounding decides nowhere.
    visible, thermal = generator.integers(0, 256, (2, 192, 256)).astype(np.uint8)
    wanted = plain(visible / 255, thermal / 255) * 255
    off = np.abs(fast(visible, thermal) - wanted)[48:-48, 48:-48]  # borders are filled otherwise
    assert np.percentile(off, 99.9) < 1.01  # levels; one cuts off where the other rounds


def test_ifcnns_shape_costs_what_its_layers_say_by_hand() -> None:
    millions, gflop = counted(IfcnnLike(), torch.zeros(1, 3, 64, 64), torch.zeros(1, 1, 64, 64))
    first, middle, last = 3 * 64 * 49, 64 * 64 * 9, 64 * 3
    biases = 3 * 64 + 3
    assert millions * 1e6 == pytest.approx(first + 2 * middle + last + biases)
    # Each picture through the first two layers; a product is two operations.
    products = 2 * (first + middle) + middle + last
    assert gflop * 1e9 == pytest.approx(2 * products * 64 * 64)


def test_seafusions_shape_has_the_weights_that_its_paper_gives() -> None:
    one = torch.zeros(1, 1, 64, 64)
    assert counted(SeaFusionLike(), one, one)[0] == pytest.approx(0.17, abs=0.005)
