# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for `tensorrt` and the GPU, limited to the calls of this package.

An "engine" is the ONNX file itself, computed by ONNX Runtime. Only `pytest -m tensorrt` checks the
calls against the real library.
"""

from __future__ import annotations

import ctypes
import sys
import types

import numpy as np
import onnxruntime
import pytest

from fusion_ros.engines import probes as engine_probes
from fusion_ros.engines.engine import EngineProbe
from fusion_ros.engines.tensorrt import builder, module
from fusion_ros.engines.tensorrt.engine import TensorRtEngine

TYPES = {"tensor(float)": ("FLOAT", np.float32), "tensor(float16)": ("HALF", np.float16)}


class Rig:
    """Faults to simulate, and the number of builds."""

    def __init__(self) -> None:
        self.builds = 0
        self.parser_error = ""
        self.fails_to_build = self.fails_to_load = self.rejects_work = False


class StandInEngine:
    """A `tensorrt.ICudaEngine`."""

    def __init__(self, rig: Rig, file: bytes) -> None:
        self.rig = rig
        self.session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        ends = [*self.session.get_inputs(), *self.session.get_outputs()]
        self.ends = {end.name: end for end in ends}

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return tuple(self.ends[name].shape)

    def get_tensor_dtype(self, name: str) -> types.SimpleNamespace:
        return types.SimpleNamespace(name=TYPES[self.ends[name].type][0])

    def create_execution_context(self) -> StandInContext:
        return StandInContext(self)


class StandInContext:
    """A `tensorrt.IExecutionContext` that computes on memory given by address."""

    def __init__(self, engine: StandInEngine) -> None:
        self.engine = engine
        self.addresses: dict[str, int] = {}

    def set_tensor_address(self, name: str, address: int) -> None:
        self.addresses[name] = address

    def execute_async_v3(self, stream: int) -> bool:
        if self.engine.rig.rejects_work:
            return False
        fed = {name: self._at(name) for name in ("visible", "thermal")}
        self._at("fused")[...] = self.engine.session.run(["fused"], fed)[0]
        return True

    def _at(self, name: str) -> np.ndarray:
        shape = self.engine.get_tensor_shape(name)
        kind = TYPES[self.engine.ends[name].type][1]
        size = int(np.prod(shape)) * np.dtype(kind).itemsize
        memory = (ctypes.c_char * size).from_address(self.addresses[name])
        return np.frombuffer(memory, kind).reshape(shape)


def stand_in_for_tensorrt(monkeypatch: pytest.MonkeyPatch) -> Rig:
    """Replace TensorRT and the GPU."""
    rig = Rig()

    class Runtime:
        def __init__(self, logger: object) -> None: ...

        def deserialize_cuda_engine(self, file: bytes) -> StandInEngine | None:
            return None if rig.fails_to_load else StandInEngine(rig, file)

    class Parser:
        num_errors = 1

        def __init__(self, network: types.SimpleNamespace, logger: object) -> None:
            self.network = network

        def parse(self, file: bytes) -> bool:
            self.network.file = file
            return not rig.parser_error

        def get_error(self, index: int) -> str:
            return rig.parser_error

    class Builder:
        def __init__(self, logger: object) -> None: ...

        def create_network(self, flags: int) -> types.SimpleNamespace:
            assert flags == 1 << 1
            return types.SimpleNamespace(file=b"")

        def create_builder_config(self) -> types.SimpleNamespace:
            return types.SimpleNamespace(set_memory_pool_limit=lambda pool, size: None)

        def build_serialized_network(
            self, network: types.SimpleNamespace, config: object
        ) -> bytes | None:
            rig.builds += 1
            return None if rig.fails_to_build else network.file

    trt = types.ModuleType("tensorrt")
    trt.__version__ = "10.3.0"
    trt.Logger = type("Logger", (), {"WARNING": 2, "__init__": lambda self, level: None})
    trt.Runtime, trt.OnnxParser, trt.Builder = Runtime, Parser, Builder
    trt.MemoryPoolType = types.SimpleNamespace(WORKSPACE=1)
    trt.NetworkDefinitionCreationFlag = types.SimpleNamespace(STRONGLY_TYPED=1)
    monkeypatch.setitem(sys.modules, "tensorrt", trt)
    probes = [EngineProbe("tensorrt", "cuda:0", True, "a stand-in")]
    monkeypatch.setattr(engine_probes, "probe_tensorrt", lambda: probes)
    facts = {"name": "stand-in GPU", "compute_capability": "8.7", "multiprocessors": "16"}
    monkeypatch.setattr(builder, "device_facts", lambda device: facts)
    monkeypatch.setattr(module, "_current_stream", lambda device: 0)
    monkeypatch.setattr(TensorRtEngine, "_run_on_device", TensorRtEngine._eagerly)
    return rig
