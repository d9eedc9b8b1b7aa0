# SPDX-License-Identifier: Apache-2.0
"""Fast versions of the rivals compute the methods that they are named after."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.rival_networks import CddFuseLike, IfcnnLike, MmdrFuseLike, SeaFusionLike
from benchmarks.rivals import counted, laplacian_pyramid
from fusion_ros.metrics import baselines


def test_the_fast_laplacian_pyramid_computes_the_image_of_the_plain_one() -> None:
    generator = np.random.default_rng(4)
    # Noise makes ties between coefficients, which rounding would decide, improbable.
    visible, thermal = generator.integers(0, 256, (2, 192, 256)).astype(np.uint8)
    wanted = baselines.laplacian_pyramid(visible / 255, thermal / 255) * 255
    off = np.abs(laplacian_pyramid(visible, thermal) - wanted)[
        48:-48, 48:-48
    ]  # borders are padded differently
    assert np.percentile(off, 99.9) < 1.01  # levels; one truncates where the other rounds


def test_the_cost_of_ifcnn_by_hand() -> None:
    millions, gflop = counted(IfcnnLike(), torch.zeros(1, 3, 64, 64), torch.zeros(1, 1, 64, 64))
    first, middle, last = 3 * 64 * 49, 64 * 64 * 9, 64 * 3
    biases = 3 * 64 + 3
    assert millions * 1e6 == pytest.approx(first + 2 * middle + last + biases)
    # Each image passes the first two layers; a product is two operations.
    products = 2 * (first + middle) + middle + last
    assert gflop * 1e9 == pytest.approx(2 * products * 64 * 64)


@pytest.mark.parametrize(
    ("network", "millions"), [(SeaFusionLike, 0.17), (MmdrFuseLike, 0.000113), (CddFuseLike, 1.19)]
)
def test_networks_have_the_published_number_of_weights(
    network: type[torch.nn.Module], millions: float
) -> None:
    one = torch.zeros(1, 1, 32, 32)
    assert counted(network(), one, one)[0] == pytest.approx(millions, rel=0.03)
