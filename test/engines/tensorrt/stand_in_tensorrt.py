# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for `tensorrt`, `torch2trt` and the GPU, limited to the calls of this package.

They have the interfaces of TensorRT 10 and torch2trt 0.5; an "engine" is the network itself, kept
in a table. Only `pytest -m tensorrt` checks the calls against the real libraries.
"""

from __future__ import annotations

import copy
import ctypes
import sys
import types
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from fusion_ros.engines import probes as engine_probes
from fusion_ros.engines.engine import EngineProbe
from fusion_ros.engines.tensorrt import builder, module
from fusion_ros.engines.tensorrt.engine import TensorRtEngine

NUMPY_TYPES = {"FLOAT": np.float32, "HALF": np.float16}


class StandInContext:
    """A `tensorrt.IExecutionContext` that computes on memory given by address."""

    accepts_work = True

    def __init__(self, engine: StandInEngine) -> None:
        self.engine = engine
        self.addresses: dict[str, int] = {}

    def set_tensor_address(self, name: str, address: int) -> None:
        self.addresses[name] = address

    def execute_async_v3(self, stream: int) -> bool:
        if self.accepts_work:
            self._at("fused")[...] = self.engine.compute(self._at("visible"), self._at("thermal"))
        return self.accepts_work

    def _at(self, name: str) -> np.ndarray:
        shape = self.engine.get_tensor_shape(name)
        kind = NUMPY_TYPES[self.engine.get_tensor_dtype(name).name]
        size = int(np.prod(shape)) * np.dtype(kind).itemsize
        memory = (ctypes.c_char * size).from_address(self.addresses[name])
        return np.frombuffer(memory, kind).reshape(shape)


class StandInEngine:
    """A `tensorrt.ICudaEngine` that is a PyTorch module in a table."""

    table: dict[bytes, tuple[torch.nn.Module, dict[str, tuple[int, ...]]]] = {}  # noqa: RUF012

    def __init__(self, token: bytes) -> None:
        self.token = token

    def serialize(self) -> bytes:
        return self.token

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.table[self.token][1][name]

    def get_tensor_dtype(self, name: str) -> types.SimpleNamespace:
        return types.SimpleNamespace(name="FLOAT")

    def create_execution_context(self) -> StandInContext:
        return StandInContext(self)

    def compute(self, visible: np.ndarray, thermal: np.ndarray) -> np.ndarray:
        network, _ = self.table[self.token]
        return network(torch.from_numpy(visible), torch.from_numpy(thermal)).numpy()


class StandInRuntime:
    """A `tensorrt.Runtime`; it returns None for data that it cannot load."""

    def __init__(self, logger: object) -> None: ...

    def deserialize_cuda_engine(self, data: bytes) -> StandInEngine | None:
        return StandInEngine(data) if data in StandInEngine.table else None


class Constant(torch.nn.Module):
    """Return the same tensor for every input."""

    def __init__(self, value: torch.Tensor) -> None:
        super().__init__()
        self.value = value

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.value


class Rig:
    """Faults to simulate, and the recorded calls."""

    def __init__(self) -> None:
        self.calls: list[dict] = []
        self.converted: list[str] = []
        self.fails = self.wrong = self.freezes = False

    def torch2trt(
        self, module: torch.nn.Module, inputs: Sequence[torch.Tensor], **options: object
    ) -> types.SimpleNamespace:
        self.calls.append({"inputs": inputs, **options})
        if self.fails:
            return types.SimpleNamespace(engine=None)
        module = copy.deepcopy(module)
        if self.wrong:
            module.blend.correction_head.bias.data += 0.3
        if self.freezes:
            value = module.blend.weight_head(torch.zeros(1, 16, 32, 32))
            module.blend.weight_head = Constant(value)
        visible, thermal = (tuple(planes.shape) for planes in inputs)
        shapes = {"visible": visible, "thermal": thermal, "fused": tuple(module(*inputs).shape)}
        token = f"engine {len(StandInEngine.table)}".encode()
        StandInEngine.table[token] = module, shapes
        return types.SimpleNamespace(engine=StandInEngine(token))


def stand_in_for_device(
    monkeypatch: pytest.MonkeyPatch, tensorrt: types.ModuleType, runtime: type
) -> None:
    """Replace TensorRT by a module with this runtime, and the GPU by the CPU."""
    tensorrt.Logger = type("Logger", (), {"WARNING": 2, "__init__": lambda self, level: None})
    tensorrt.Runtime = runtime
    monkeypatch.setitem(sys.modules, "tensorrt", tensorrt)
    probes = [EngineProbe("tensorrt", "cuda:0", True, "a stand-in")]
    monkeypatch.setattr(engine_probes, "probe_tensorrt", lambda: probes)
    facts = {"name": "stand-in GPU", "compute_capability": "8.7", "multiprocessors": "16"}
    monkeypatch.setattr(builder, "device_facts", lambda device: facts)
    monkeypatch.setattr(module, "_current_stream", lambda device: 0)
    monkeypatch.setattr(TensorRtEngine, "_run_on_device", TensorRtEngine._eagerly)


def stand_in_for_tensorrt(monkeypatch: pytest.MonkeyPatch) -> Rig:
    """Replace TensorRT 10, torch2trt and the GPU."""
    rig = Rig()
    trt = types.ModuleType("tensorrt")
    trt.__version__ = "10.3.0"
    trt.BuilderFlag = types.SimpleNamespace(FP16=1, INT8=2, GPU_FALLBACK=3)
    trt.IInt8Calibrator = object
    stand_in_for_device(monkeypatch, trt, StandInRuntime)
    to_trt, inner = types.ModuleType("torch2trt"), types.ModuleType("torch2trt.torch2trt")
    to_trt.torch2trt = rig.torch2trt
    inner.tensorrt_converter = lambda name: lambda convert: rig.converted.append(name)
    monkeypatch.setitem(sys.modules, "torch2trt", to_trt)
    monkeypatch.setitem(sys.modules, "torch2trt.torch2trt", inner)
    versions = {"tensorrt": "10.3.0", "torch2trt": "0.5.0"}
    monkeypatch.setattr(builder, "library_versions", lambda: versions)
    return rig
