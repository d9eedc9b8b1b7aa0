# SPDX-License-Identifier: Apache-2.0
"""The TensorRT engine, with stand-ins for `tensorrt`, `torch2trt` and the GPU."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from stand_in_tensorrt import Rig, StandInEngine

from fusion_ros.engines.engine import EngineError
from fusion_ros.engines.engine_cache import EngineCache
from fusion_ros.engines.parity import golden_pair
from fusion_ros.engines.tensorrt.engine import TensorRtEngine
from fusion_ros.engines.torch_engine import TorchEngine
from fusion_ros.model.weights import LoadedWeights

SIZE = (48, 64)


@pytest.fixture
def engine(rig: Rig, compact: LoadedWeights, tmp_path: Path) -> TensorRtEngine:
    return TensorRtEngine(compact, device="cpu", cache=EngineCache(tmp_path / "cache"))


def build(engine: TensorRtEngine) -> list[str]:
    lines: list[str] = []
    engine.build(*SIZE, notify=lines.append)
    return lines


def test_the_built_engine_computes_the_image_of_the_network(
    engine: TensorRtEngine, compact: LoadedWeights
) -> None:
    build(engine)
    pair = golden_pair(*SIZE, 1)
    wanted = TorchEngine(compact, device="cpu", precision="float32").infer(*pair)
    assert np.array_equal(engine.infer(*pair), wanted)


def test_a_size_without_an_engine_is_an_error_that_names_the_command(
    engine: TensorRtEngine, rig: Rig
) -> None:
    with pytest.raises(EngineError, match=r"fusion-ros build-engine --size 64x48 --precision"):
        engine.infer(*golden_pair(*SIZE, 1))
    assert rig.calls == []  # nothing is built during operation


def test_torch2trt_receives_its_documented_arguments(engine: TensorRtEngine, rig: Rig) -> None:
    build(engine)
    (call,) = rig.calls
    assert [tuple(x.shape) for x in call["inputs"]] == [(1, 1, 64, 64), (1, 1, 64, 64)]
    assert all(x.is_contiguous() and x.dtype == torch.float32 for x in call["inputs"])
    assert call["fp16_mode"] is True
    assert call["input_names"] == ["visible", "thermal"]
    # Layers that torch2trt does not convert correctly have converters of this package.
    assert "torch.nn.functional.pixel_shuffle" in rig.converted
    assert "torch.nn.functional.conv_transpose2d" in rig.converted


@pytest.mark.parametrize("fault", ["wrong", "freezes"])
def test_an_engine_with_another_image_is_not_used(
    engine: TensorRtEngine, rig: Rig, fault: str
) -> None:
    """`freezes`: a layer became a constant of the example, as for unsupported functions."""
    setattr(rig, fault, True)
    for attempt in (lambda: build(engine), lambda: engine.warm_up(*SIZE)):
        with pytest.raises(EngineError, match=r"max \d+, mean"):
            attempt()


def test_a_second_process_finds_the_engine_without_building(
    engine: TensorRtEngine, rig: Rig, compact: LoadedWeights, tmp_path: Path
) -> None:
    build(engine)
    again = TensorRtEngine(compact, device="cpu", cache=EngineCache(tmp_path / "cache"))
    again.warm_up(*SIZE)
    assert len(rig.calls) == 1
    assert "mean" in again.describe().detail["parity"]


def test_a_build_without_result_is_an_error(engine: TensorRtEngine, rig: Rig) -> None:
    rig.fails = True
    with pytest.raises(EngineError):
        build(engine)
    with pytest.raises(EngineError, match="none was built"):
        engine.warm_up(*SIZE)


def test_a_file_that_cannot_be_loaded_is_an_error(
    engine: TensorRtEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(engine)
    monkeypatch.setattr(StandInEngine, "table", {})
    (file,) = engine._cache.folder.glob("*.engine")
    with pytest.raises(EngineError, match=file.name):
        engine.warm_up(*SIZE)


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_an_unsupported_precision_is_refused(
    precision: str, rig: Rig, compact: LoadedWeights
) -> None:
    with pytest.raises(EngineError, match=f"'{precision}'.*float16"):
        TensorRtEngine(compact, device="cpu", precision=precision)


def test_a_closed_engine_raises_an_error(engine: TensorRtEngine) -> None:
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.infer(*golden_pair(*SIZE, 1))


@pytest.mark.skipif(
    importlib.util.find_spec("tensorrt") is not None, reason="TensorRT is installed here"
)
def test_without_tensorrt_the_error_names_the_installation(compact: LoadedWeights) -> None:
    with pytest.raises(EngineError, match="JetPack"):
        TensorRtEngine(compact)
