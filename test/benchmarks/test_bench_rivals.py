# SPDX-License-Identifier: Apache-2.0
"""The rivals' networks have the published shapes."""

from __future__ import annotations

import pytest
import torch

from benchmarks.rival_networks import IfcnnLike, MmdrFuseLike, SeaFusionLike
from benchmarks.rivals import counted


def test_the_cost_of_ifcnn_by_hand() -> None:
    millions, gflop = counted(IfcnnLike(), torch.zeros(1, 3, 64, 64), torch.zeros(1, 1, 64, 64))
    first, middle, last = 3 * 64 * 49, 64 * 64 * 9, 64 * 3
    biases = 3 * 64 + 3
    assert millions * 1e6 == pytest.approx(first + 2 * middle + last + biases)
    # Each image passes the first two layers; a product is two operations.
    products = 2 * (first + middle) + middle + last
    assert gflop * 1e9 == pytest.approx(2 * products * 64 * 64)


@pytest.mark.parametrize(("network", "millions"), [(SeaFusionLike, 0.17), (MmdrFuseLike, 0.000113)])
def test_networks_have_the_published_number_of_weights(
    network: type[torch.nn.Module], millions: float
) -> None:
    one = torch.zeros(1, 1, 32, 32)
    assert counted(network(), one, one)[0] == pytest.approx(millions, rel=0.03)
