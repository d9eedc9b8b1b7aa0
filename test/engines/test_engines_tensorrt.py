# SPDX-License-Identifier: Apache-2.0
"""The TensorRT engine, with stand-ins for `tensorrt` and the GPU."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from fusion_ros.engines.engine import EngineError
from fusion_ros.engines.engine_cache import EngineCache
from fusion_ros.engines.parity import compare, golden_pair
from fusion_ros.engines.tensorrt import builder
from fusion_ros.engines.tensorrt.engine import TensorRtEngine
from fusion_ros.engines.torch_engine import TorchEngine
from fusion_ros.model.weights import LoadedWeights

if TYPE_CHECKING:
    from stand_in_tensorrt import Rig

SIZE = (48, 64)


class Constant(torch.nn.Module):
    """Return the same tensor for every input."""

    def __init__(self, value: torch.Tensor) -> None:
        super().__init__()
        self.value = value

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.value


@pytest.fixture
def engine(rig: Rig, compact: LoadedWeights, tmp_path: Path) -> TensorRtEngine:
    return TensorRtEngine(compact, device="cpu", cache=EngineCache(tmp_path / "cache"))


def build(engine: TensorRtEngine) -> list[str]:
    lines: list[str] = []
    engine.build(*SIZE, notify=lines.append)
    return lines


@pytest.mark.parametrize("precision", ["float16", "float32"])
def test_the_built_engine_computes_the_image_of_the_network(
    precision: str, rig: Rig, compact: LoadedWeights, tmp_path: Path
) -> None:
    cache = EngineCache(tmp_path)
    engine = TensorRtEngine(compact, device="cpu", precision=precision, cache=cache)
    build(engine)
    visible, thermal = (image[::-1].copy() for image in golden_pair(*SIZE, 1))
    wanted = TorchEngine(compact, device="cpu", precision="float32").infer(visible, thermal)
    assert np.ptp(wanted) > 100
    assert compare(engine.infer(visible, thermal), wanted).max_error <= 1


def test_the_file_has_half_precision(engine: TensorRtEngine, rig: Rig) -> None:
    from stand_in_tensorrt import StandInEngine

    build(engine)
    (file,) = engine._cache.folder.glob("*.engine")
    built = StandInEngine(rig, file.read_bytes())
    assert {end.type for end in built.ends.values()} == {"tensor(float16)"}


def test_a_size_without_an_engine_is_an_error_that_names_the_command(
    engine: TensorRtEngine, rig: Rig
) -> None:
    with pytest.raises(EngineError, match=r"fusion-ros build-engine --size 64x48 --precision"):
        engine.infer(*golden_pair(*SIZE, 1))
    assert rig.builds == 0  # nothing is built during operation


@pytest.mark.parametrize("fault", ["wrong", "freezes"])
def test_an_engine_with_another_image_is_not_used(
    engine: TensorRtEngine, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`freezes`: a layer became a constant of the example."""
    right = builder._onnx

    def spoiled(core: torch.nn.Module, *options: object) -> bytes:
        if fault == "wrong":
            core.blend.correction_head.bias.data += 0.3
        else:
            value = core.blend.weight_head(torch.zeros(1, 16, 32, 32)).detach().half()
            core.blend.weight_head = Constant(value)
        return right(core, *options)

    monkeypatch.setattr(builder, "_onnx", spoiled)
    for attempt in (lambda: build(engine), lambda: engine.warm_up(*SIZE)):
        with pytest.raises(EngineError, match=r"max \d+, mean"):
            attempt()


def test_a_second_process_finds_the_engine_without_building(
    engine: TensorRtEngine, rig: Rig, compact: LoadedWeights, tmp_path: Path
) -> None:
    build(engine)
    again = TensorRtEngine(compact, device="cpu", cache=EngineCache(tmp_path / "cache"))
    again.warm_up(*SIZE)
    assert rig.builds == 1
    assert "PSNR" in again.describe().detail["parity"]


def test_a_build_without_result_is_an_error(engine: TensorRtEngine, rig: Rig) -> None:
    rig.fails_to_build = True
    with pytest.raises(EngineError):
        build(engine)
    with pytest.raises(EngineError, match="none was built"):
        engine.warm_up(*SIZE)


def test_errors_of_the_parser_are_reported(engine: TensorRtEngine, rig: Rig) -> None:
    rig.parser_error = "no importer for Flux"
    with pytest.raises(EngineError, match="no importer for Flux"):
        build(engine)


def test_a_file_that_cannot_be_loaded_is_an_error(engine: TensorRtEngine, rig: Rig) -> None:
    build(engine)
    engine._runners.clear()
    rig.fails_to_load = True
    (file,) = engine._cache.folder.glob("*.engine")
    with pytest.raises(EngineError, match=file.name):
        engine.warm_up(*SIZE)


def test_rejected_work_is_an_error(engine: TensorRtEngine, rig: Rig) -> None:
    build(engine)
    engine.warm_up(*SIZE)
    rig.rejects_work = True
    with pytest.raises(EngineError, match="64x48"):
        engine.infer(*golden_pair(*SIZE, 1))


def test_the_progress_names_the_duration_of_the_last_build(engine: TensorRtEngine) -> None:
    assert "93 s" not in build(engine)[0]
    card = next(engine._cache.folder.glob("*.json"))
    values = json.loads(card.read_text())
    card.write_text(json.dumps({**values, "build_s": 93.4}))
    assert "93 s" in build(engine)[0]


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
