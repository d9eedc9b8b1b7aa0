# SPDX-License-Identifier: Apache-2.0
"""Networks with random weights and stand-ins, shared by the tests of engines."""

from __future__ import annotations

import pytest
import torch
from engine_references import SMALL_PAPER, weights_of
from stand_in_tensorrt import Rig, stand_in_for_tensorrt

from fusion_ros.model.config import PRESETS
from fusion_ros.model.weights import LoadedWeights


@pytest.fixture(scope="session")
def compact(tmp_path_factory: pytest.TempPathFactory) -> LoadedWeights:
    return weights_of(PRESETS["compact"], tmp_path_factory.mktemp("compact"))


@pytest.fixture(scope="session")
def paper(tmp_path_factory: pytest.TempPathFactory) -> LoadedWeights:
    """Return a narrow network of the paper's layout, scaled to fill the grey levels."""
    loaded = weights_of(SMALL_PAPER, tmp_path_factory.mktemp("paper"))
    with torch.no_grad():
        loaded.net.decoder.head[-1].weight.mul_(200.0)
    return loaded


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    """Return stand-ins for TensorRT 10 and torch2trt."""
    return stand_in_for_tensorrt(monkeypatch)
