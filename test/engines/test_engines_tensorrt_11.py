# SPDX-License-Identifier: Apache-2.0
"""The way of TensorRT 11, where torch2trt cannot be imported: through ONNX, run by TensorRT's API.

`StandIn...` classes have TensorRT 11's interfaces as far as we call them. An "engine" of theirs is
the ONNX file itself; ONNX Runtime computes it, on memory that it is given by address as the real
one is. What the real library makes of our calls, only `pytest -m tensorrt` can tell.
"""

from __future__ import annotations

import ctypes
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from fusion_ros.engines import tensorrt_build, tensorrt_module
from fusion_ros.engines.engine import EngineError, EngineProbe
from fusion_ros.engines.engine_cache import EngineCache
from fusion_ros.engines.parity import compare, golden_pair
from fusion_ros.engines.tensorrt_engine import TensorRtEngine
from fusion_ros.engines.torch_engine import TorchEngine
from fusion_ros.model.weights import LoadedWeights

onnxruntime = pytest.importorskip("onnxruntime")

SIZE = (48, 64)
NUMPY_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


class StandInContext:
    """A `tensorrt.IExecutionContext`."""

    takes_work = True

    def __init__(self, engine: StandInEngine) -> None:
        self.engine = engine
        self.addresses: dict[str, int] = {}

    def set_tensor_address(self, name: str, address: int) -> None:
        self.addresses[name] = address

    def execute_async_v3(self, stream: int) -> bool:
        if not self.takes_work:
            return False
        fed = {name: self._at(name) for name in ("visible", "thermal")}
        self._at("fused")[...] = self.engine.session.run(["fused"], fed)[0]
        return True

    def _at(self, name: str) -> np.ndarray:
        shape, kind = self.engine.get_tensor_shape(name), self.engine.get_tensor_dtype(name)
        size = int(np.prod(shape)) * np.dtype(NUMPY_TYPES[kind]).itemsize
        memory = (ctypes.c_char * size).from_address(self.addresses[name])
        return np.frombuffer(memory, NUMPY_TYPES[kind]).reshape(shape)


class StandInEngine:
    """A `tensorrt.ICudaEngine`."""

    def __init__(self, file: bytes) -> None:
        self.session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        ends = [*self.session.get_inputs(), *self.session.get_outputs()]
        self.ends = {end.name: end for end in ends}

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return tuple(self.ends[name].shape)

    def get_tensor_dtype(self, name: str) -> str:
        return self.ends[name].type

    def create_execution_context(self) -> StandInContext:
        return StandInContext(self)


class StandInRuntime:
    """A `tensorrt.Runtime`; what it does not take, it answers with None."""

    def __init__(self, logger: object) -> None: ...

    def deserialize_cuda_engine(self, file: bytes) -> StandInEngine | None:
        try:
            return StandInEngine(file)
        except Exception:
            return None


class StandInParser:
    """A `tensorrt.OnnxParser`."""

    complaint = ""

    def __init__(self, network: types.SimpleNamespace, logger: object) -> None:
        self.network = network

    def parse(self, file: bytes) -> bool:
        self.network.file = file
        return not self.complaint

    @property
    def num_errors(self) -> int:
        return 1 if self.complaint else 0

    def get_error(self, index: int) -> str:
        return self.complaint


class StandInBuilder:
    """A `tensorrt.Builder` of a release in which networks are strongly typed and flags are gone."""

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
    trt.Logger = type("Logger", (), {"WARNING": 2, "__init__": lambda self, level: None})
    trt.Builder, trt.OnnxParser, trt.Runtime = StandInBuilder, StandInParser, StandInRuntime
    trt.nptype = NUMPY_TYPES.__getitem__
    monkeypatch.setitem(sys.modules, "tensorrt", trt)
    monkeypatch.setitem(sys.modules, "torch2trt", None)  # whoever imports it fails
    monkeypatch.setattr(
        tensorrt_build,
        "probe_tensorrt",
        lambda: [EngineProbe("tensorrt", "cuda:0", True, "a stand-in")],
    )
    facts = {"name": "stand-in GPU", "compute_capability": "11.0", "multiprocessors": "20"}
    monkeypatch.setattr(tensorrt_build, "device_facts", lambda device: facts)
    monkeypatch.setattr(tensorrt_module, "_current_stream", lambda device: 0)
    monkeypatch.setattr(TensorRtEngine, "_run_on_device", TensorRtEngine._eagerly)


def engine_of(compact: LoadedWeights, folder: Path, precision: str = "float16") -> TensorRtEngine:
    return TensorRtEngine(compact, device="cpu", precision=precision, cache=EngineCache(folder))


@pytest.mark.parametrize("precision", ["float16", "float32"])
def test_an_engine_gives_the_networks_picture(
    precision: str, compact: LoadedWeights, tmp_path: Path
) -> None:
    engine = engine_of(compact, tmp_path, precision)
    engine.build(*SIZE, tell=lambda line: None)
    pair = tuple(picture[::-1].copy() for picture in golden_pair(*SIZE, 1))
    wanted = TorchEngine(compact, device="cpu", precision="float32").infer(*pair)
    assert np.ptp(wanted) > 100
    assert compare(engine.infer(*pair), wanted).max_error <= 1


def test_half_precision_is_written_into_the_file(compact: LoadedWeights, tmp_path: Path) -> None:
    engine_of(compact, tmp_path).build(*SIZE, tell=lambda line: None)
    (file,) = tmp_path.glob("*.engine")
    built = StandInEngine(file.read_bytes())
    assert {end.type for end in built.ends.values()} == {"tensor(float16)"}


def test_what_the_parser_refuses_is_told_in_its_words(
    compact: LoadedWeights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StandInParser, "complaint", "no importer for Flux")
    with pytest.raises(EngineError, match="does not read the network: no importer for Flux"):
        engine_of(compact, tmp_path).build(*SIZE, tell=lambda line: None)


def test_int8_is_refused_before_anything_is_built_with_why_and_what_to_take(
    compact: LoadedWeights, tmp_path: Path
) -> None:
    with pytest.raises(EngineError, match=r"TensorRT 11\.4\.0 has no calibrators.*use 'float16'"):
        engine_of(compact, tmp_path, "int8")


def test_a_file_that_tensorrt_does_not_take_is_an_error(
    compact: LoadedWeights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_of(compact, tmp_path)
    engine.build(*SIZE, tell=lambda line: None)
    monkeypatch.setattr(StandInRuntime, "deserialize_cuda_engine", lambda self, file: None)
    with pytest.raises(EngineError, match="does not load"):
        engine_of(compact, tmp_path).warm_up(*SIZE)


def test_work_that_is_not_taken_is_an_error(
    compact: LoadedWeights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_of(compact, tmp_path)
    engine.build(*SIZE, tell=lambda line: None)
    engine.warm_up(*SIZE)
    monkeypatch.setattr(StandInContext, "takes_work", False)
    with pytest.raises(EngineError, match="did not take the work"):
        engine.infer(*golden_pair(*SIZE, 1))
