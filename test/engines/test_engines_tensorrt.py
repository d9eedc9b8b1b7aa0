# SPDX-License-Identifier: Apache-2.0
"""The TensorRT engine's contract, with stand-ins for `tensorrt`, `torch2trt` and the GPU."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from stand_in_tensorrt import Rig, StandInEngine

from fusion_ros.engines.engine import EngineError
from fusion_ros.engines.engine_cache import EngineCache
from fusion_ros.engines.parity import golden_pair
from fusion_ros.engines.tensorrt_engine import TensorRtEngine
from fusion_ros.model.weights import LoadedWeights

SIZE = (48, 64)


@pytest.fixture
def engine(rig: Rig, compact: LoadedWeights, tmp_path: Path) -> TensorRtEngine:
    return TensorRtEngine(compact, device="cpu", cache=EngineCache(tmp_path / "cache"))


def build(engine: TensorRtEngine, **options: object) -> list[str]:
    told: list[str] = []
    engine.build(*SIZE, tell=told.append, **options)
    return told


def test_a_built_engine_serves_the_networks_picture(
    engine: TensorRtEngine, compact: LoadedWeights
) -> None:
    from fusion_ros.engines.torch_engine import TorchEngine

    build(engine)
    pair = golden_pair(*SIZE, 1)
    wanted = TorchEngine(compact, device="cpu", precision="float32").infer(*pair)
    assert np.array_equal(engine.infer(*pair), wanted)


def test_a_size_without_an_engine_is_an_error_with_the_command_that_builds_it(
    engine: TensorRtEngine, rig: Rig
) -> None:
    with pytest.raises(EngineError, match=r"fusion-ros build-engine --size 64x48 --precision"):
        engine.infer(*golden_pair(*SIZE, 1))
    assert not engine.has_engine(*SIZE)
    assert rig.calls == []  # and nothing was built behind anybody's back


def test_torch2trt_is_called_as_its_interface_has_it(engine: TensorRtEngine, rig: Rig) -> None:
    build(engine)
    (call,) = rig.calls
    assert [tuple(x.shape) for x in call["inputs"]] == [(1, 1, 64, 64), (1, 1, 64, 64)]
    assert all(x.is_contiguous() and x.dtype == torch.float32 for x in call["inputs"])
    assert call["fp16_mode"] is True
    assert call["int8_mode"] is False
    assert call["input_names"] == ["visible", "thermal"]
    # What torch2trt would turn into constants, or refuse, is taught to it first.
    assert "torch.nn.functional.pixel_shuffle" in rig.converted
    assert "torch.nn.functional.conv_transpose2d" in rig.converted


def test_a_layer_that_became_a_constant_of_the_example_shows(
    engine: TensorRtEngine, rig: Rig
) -> None:
    """As torch2trt does with a function that it does not know."""
    rig.freezes = True
    with pytest.raises(EngineError, match="does not give the network's picture"):
        build(engine)


def test_a_second_process_finds_the_engine_without_building(
    engine: TensorRtEngine, rig: Rig, compact: LoadedWeights, tmp_path: Path
) -> None:
    build(engine)
    again = TensorRtEngine(compact, device="cpu", cache=EngineCache(tmp_path / "cache"))
    assert again.has_engine(*SIZE)
    again.warm_up(*SIZE)
    assert len(rig.calls) == 1
    assert "PSNR" in again.describe().detail["parity"]


def test_a_build_that_returns_nothing_is_an_error(engine: TensorRtEngine, rig: Rig) -> None:
    rig.fails = True
    with pytest.raises(EngineError, match="could not build"):
        build(engine)
    assert not engine.has_engine(*SIZE)


def test_an_engine_that_gives_another_picture_does_not_serve(
    engine: TensorRtEngine, rig: Rig
) -> None:
    rig.wrong = True
    with pytest.raises(EngineError, match=r"does not give the network's picture \(max \d+"):
        build(engine)
    with pytest.raises(EngineError, match="it is not used"):
        engine.warm_up(*SIZE)


def test_a_file_that_tensorrt_does_not_take_is_an_error(engine: TensorRtEngine) -> None:
    build(engine)
    StandInEngine.table.clear()
    with pytest.raises(EngineError, match="TensorRT does not load"):
        engine.warm_up(*SIZE)


def test_progress_tells_how_long_the_last_build_took(engine: TensorRtEngine) -> None:
    assert "minutes" in build(engine)[0]
    card = next(engine._cache.folder.glob("*.json"))
    values = json.loads(card.read_text())
    card.write_text(json.dumps({**values, "build_s": 93.4}))
    assert "the last one took 93 s" in build(engine)[0]


@pytest.mark.parametrize("precision", ["bfloat16", "int4"])
def test_a_precision_that_tensorrt_has_not_is_refused(
    precision: str, rig: Rig, compact: LoadedWeights
) -> None:
    with pytest.raises(EngineError, match=f"precision is '{precision}'"):
        TensorRtEngine(compact, device="cpu", precision=precision)


def test_a_closed_engine_says_so(engine: TensorRtEngine) -> None:
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.infer(*golden_pair(*SIZE, 1))


@pytest.mark.skipif(
    importlib.util.find_spec("tensorrt") is not None, reason="TensorRT is installed here"
)
def test_without_tensorrt_it_says_what_to_install(compact: LoadedWeights) -> None:
    with pytest.raises(EngineError, match=r"TensorRT is not installed; .*JetPack"):
        TensorRtEngine(compact)
