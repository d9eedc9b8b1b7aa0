# SPDX-License-Identifier: Apache-2.0
"""TensorRT 11, with which torch2trt cannot be imported: build through ONNX.

`StandIn...` classes have TensorRT 11's interfaces, limited to the calls of this package. An
"engine" is the ONNX file itself, computed by ONNX Runtime. Only `pytest -m tensorrt` checks the
calls against the real library.
"""

from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np
import pytest
from stand_in_tensorrt import StandInContext, stand_in_for_device

from fusion_ros.engines.engine import EngineError
from fusion_ros.engines.engine_cache import EngineCache
from fusion_ros.engines.parity import compare, golden_pair
from fusion_ros.engines.tensorrt.engine import TensorRtEngine
from fusion_ros.engines.torch_engine import TorchEngine
from fusion_ros.model.weights import LoadedWeights

onnxruntime = pytest.importorskip("onnxruntime")

SIZE = (48, 64)
TYPES = {"tensor(float)": "FLOAT", "tensor(float16)": "HALF"}


class OnnxEngine:
    """A `tensorrt.ICudaEngine`."""

    def __init__(self, file: bytes) -> None:
        self.session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        ends = [*self.session.get_inputs(), *self.session.get_outputs()]
        self.ends = {end.name: end for end in ends}

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return tuple(self.ends[name].shape)

    def get_tensor_dtype(self, name: str) -> types.SimpleNamespace:
        return types.SimpleNamespace(name=TYPES[self.ends[name].type])

    def create_execution_context(self) -> StandInContext:
        return StandInContext(self)

    def compute(self, visible: np.ndarray, thermal: np.ndarray) -> np.ndarray:
        return self.session.run(["fused"], {"visible": visible, "thermal": thermal})[0]


class OnnxRuntime:
    """A `tensorrt.Runtime`."""

    loads = True

    def __init__(self, logger: object) -> None: ...

    def deserialize_cuda_engine(self, file: bytes) -> OnnxEngine | None:
        return OnnxEngine(file) if self.loads else None


class StandInParser:
    """A `tensorrt.OnnxParser`."""

    error = ""

    def __init__(self, network: types.SimpleNamespace, logger: object) -> None:
        self.network = network

    def parse(self, file: bytes) -> bool:
        self.network.file = file
        return not self.error

    @property
    def num_errors(self) -> int:
        return 1 if self.error else 0

    def get_error(self, index: int) -> str:
        return self.error


class StandInBuilder:
    """A `tensorrt.Builder` of a release with strongly typed networks and without flags."""

    def __init__(self, logger: object) -> None: ...

    def create_network(self, flags: int) -> types.SimpleNamespace:
        assert flags == 0
        return types.SimpleNamespace(file=b"")

    def create_builder_config(self) -> types.SimpleNamespace:
        return types.SimpleNamespace(set_memory_pool_limit=lambda pool, size: None)

    def build_serialized_network(self, network: types.SimpleNamespace, config: object) -> bytes:
        return network.file


@pytest.fixture(autouse=True)
def tensorrt_11(monkeypatch: pytest.MonkeyPatch) -> None:
    trt = types.ModuleType("tensorrt")
    trt.__version__ = "11.4.0"
    trt.BuilderFlag = types.SimpleNamespace(TF32=1, GPU_FALLBACK=2)
    trt.MemoryPoolType = types.SimpleNamespace(WORKSPACE=1)
    trt.Builder, trt.OnnxParser = StandInBuilder, StandInParser
    stand_in_for_device(monkeypatch, trt, OnnxRuntime)
    monkeypatch.setitem(sys.modules, "torch2trt", None)  # an import of it fails


def engine_of(compact: LoadedWeights, folder: Path, precision: str = "float16") -> TensorRtEngine:
    return TensorRtEngine(compact, device="cpu", precision=precision, cache=EngineCache(folder))


def build(engine: TensorRtEngine) -> None:
    engine.build(*SIZE, notify=lambda line: None)


@pytest.mark.parametrize("precision", ["float16", "float32"])
def test_the_engine_computes_the_image_of_the_network(
    precision: str, compact: LoadedWeights, tmp_path: Path
) -> None:
    engine = engine_of(compact, tmp_path, precision)
    build(engine)
    visible, thermal = (image[::-1].copy() for image in golden_pair(*SIZE, 1))
    wanted = TorchEngine(compact, device="cpu", precision="float32").infer(visible, thermal)
    assert np.ptp(wanted) > 100
    assert compare(engine.infer(visible, thermal), wanted).max_error <= 1


def test_the_file_has_half_precision(compact: LoadedWeights, tmp_path: Path) -> None:
    build(engine_of(compact, tmp_path))
    (file,) = tmp_path.glob("*.engine")
    built = OnnxEngine(file.read_bytes())
    assert {end.type for end in built.ends.values()} == {"tensor(float16)"}


def test_errors_of_the_parser_are_reported(
    compact: LoadedWeights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StandInParser, "error", "no importer for Flux")
    with pytest.raises(EngineError, match="no importer for Flux"):
        build(engine_of(compact, tmp_path))


def test_a_file_that_cannot_be_loaded_is_an_error(
    compact: LoadedWeights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(engine_of(compact, tmp_path))
    monkeypatch.setattr(OnnxRuntime, "loads", False)
    (file,) = tmp_path.glob("*.engine")
    with pytest.raises(EngineError, match=file.name):
        engine_of(compact, tmp_path).warm_up(*SIZE)


def test_rejected_work_is_an_error(
    compact: LoadedWeights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_of(compact, tmp_path)
    build(engine)
    engine.warm_up(*SIZE)
    monkeypatch.setattr(StandInContext, "accepts_work", False)
    with pytest.raises(EngineError, match="64x48"):
        engine.infer(*golden_pair(*SIZE, 1))
