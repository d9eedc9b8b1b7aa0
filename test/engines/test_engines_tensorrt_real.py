# SPDX-License-Identifier: Apache-2.0
"""TensorRT itself, where it is: `pytest -m tensorrt` on a machine with an NVIDIA GPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fusion_ros.engines import tensorrt_build
from fusion_ros.engines.engine_cache import EngineCache
from fusion_ros.engines.parity import golden_pair, is_good_enough
from fusion_ros.engines.tensorrt_engine import TensorRtEngine
from fusion_ros.model.weights import load_weights, shipped_weights


@pytest.fixture(autouse=True)
def _hardware() -> None:
    probe = tensorrt_build.probe_tensorrt()[0]
    if not probe.available:
        pytest.skip(f"{probe.why}: {probe.fix}")


def calibration(channels: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Eight pairs, none of which is the one that engines are judged on."""
    pair = golden_pair(480, 640, channels)
    return [tuple(np.roll(picture, 37 * n, axis=1) for picture in pair) for n in range(1, 9)]


@pytest.mark.tensorrt
@pytest.mark.parametrize("preset", ["compact", "paper"])
@pytest.mark.parametrize("precision", ["float16", "float32", "int8"])
def test_an_engine_is_built_kept_and_right(preset: str, precision: str, tmp_path: Path) -> None:
    if precision == "int8" and not tensorrt_build.builds_through_torch2trt():
        pytest.skip("this TensorRT has no calibrators")
    weights = load_weights(shipped_weights(preset))
    cache = EngineCache(tmp_path)
    built = TensorRtEngine(weights, precision=precision, cache=cache)
    pictures = calibration(built.visible_channels) if precision == "int8" else None
    parity = built.build(480, 640, calibration=pictures, tell=print)
    assert is_good_enough(parity, precision)
    again = TensorRtEngine(weights, precision=precision, cache=cache)
    pair = golden_pair(480, 640, again.visible_channels)
    assert np.array_equal(again.infer(*pair), built.infer(*pair))
