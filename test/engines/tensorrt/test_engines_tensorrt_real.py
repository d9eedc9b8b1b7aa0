# SPDX-License-Identifier: Apache-2.0
"""The real TensorRT: `pytest -m tensorrt` on a machine with an NVIDIA GPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fusion_ros.engines.engine_cache import EngineCache
from fusion_ros.engines.parity import golden_pair, is_good_enough
from fusion_ros.engines.probes import probe_tensorrt
from fusion_ros.engines.tensorrt import builder
from fusion_ros.engines.tensorrt.engine import TensorRtEngine
from fusion_ros.model.weights import load_weights, shipped_weights


@pytest.fixture(autouse=True)
def _hardware() -> None:
    probe = probe_tensorrt()[0]
    if not probe.available:
        pytest.skip(f"{probe.why}: {probe.fix}")


@pytest.mark.tensorrt
@pytest.mark.parametrize("preset", ["compact", "paper"])
@pytest.mark.parametrize("precision", builder.PRECISIONS)
def test_an_engine_is_built_stored_and_correct(preset: str, precision: str, tmp_path: Path) -> None:
    weights = load_weights(shipped_weights(preset))
    cache = EngineCache(tmp_path)
    built = TensorRtEngine(weights, precision=precision, cache=cache)
    assert is_good_enough(built.build(480, 640, notify=print), precision)
    again = TensorRtEngine(weights, precision=precision, cache=cache)
    pair = golden_pair(480, 640, again.visible_channels)
    assert np.array_equal(again.infer(*pair), built.infer(*pair))
