# SPDX-License-Identifier: Apache-2.0
"""Networks with random weights and stand-ins, shared by the tests of engines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fusion_ros.model.config import PRESETS
from fusion_ros.model.weights import LoadedWeights

if TYPE_CHECKING:
    from stand_in_tensorrt import Rig

# Imports in the fixtures: a part of these tests runs without PyTorch.


@pytest.fixture(scope="session")
def compact(tmp_path_factory: pytest.TempPathFactory) -> LoadedWeights:
    from engine_references import weights_of

    return weights_of(PRESETS["compact"], tmp_path_factory.mktemp("compact"))


@pytest.fixture(scope="session")
def paper(tmp_path_factory: pytest.TempPathFactory) -> LoadedWeights:
    """Return a narrow network of the paper's layout, scaled to fill the grey levels."""
    import torch
    from engine_references import SMALL_PAPER, weights_of

    loaded = weights_of(SMALL_PAPER, tmp_path_factory.mktemp("paper"))
    with torch.no_grad():
        loaded.net.decoder.head[-1].weight.mul_(200.0)
    return loaded


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    """Return stand-ins for TensorRT 10 and torch2trt."""
    from stand_in_tensorrt import stand_in_for_tensorrt

    return stand_in_for_tensorrt(monkeypatch)
