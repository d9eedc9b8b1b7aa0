# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for `tensorrt`, `torch2trt` and the GPU, as far as we call them.

They have the interfaces of TensorRT 10 and torch2trt 0.5; an "engine" of theirs is the network
itself, kept in a table. What the real libraries make of our calls, only `pytest -m tensorrt` on a
machine with them can tell.
"""

from __future__ import annotations

import copy
import sys
import types
from pathlib import Path

import pytest
import torch

from fusion_ros.engines import tensorrt_build
from fusion_ros.engines.engine import EngineProbe
from fusion_ros.engines.tensorrt_engine import TensorRtEngine


class StandInEngine:
    """A `tensorrt.ICudaEngine` that is a PyTorch module in a table."""

    table: dict[bytes, torch.nn.Module] = {}  # noqa: RUF012

    def __init__(self, token: bytes) -> None:
        self.token = token

    def serialize(self) -> bytes:
        return self.token


class StandInTRTModule(torch.nn.Module):
    """`torch2trt.TRTModule`: takes an engine or the path of a file with one."""

    def __init__(self, engine=None, input_names=None, output_names=None) -> None:
        super().__init__()
        if isinstance(engine, str):
            token = Path(engine).read_bytes()
            engine = StandInEngine(token) if token in StandInEngine.table else None
        self.engine = engine
        self.names = input_names, output_names

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        assert all(x.is_contiguous() for x in inputs), "torch2trt reads bare addresses"
        return StandInEngine.table[self.engine.token](*inputs)


class Constant(torch.nn.Module):
    """Answers the same to anything."""

    def __init__(self, answer: torch.Tensor) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.answer


class Rig:
    """What the stand-ins do, and what they were asked."""

    def __init__(self) -> None:
        self.calls: list[dict] = []
        self.converted: list[str] = []
        self.fails = self.wrong = self.freezes = False

    def torch2trt(self, module, inputs, **options) -> StandInTRTModule:
        self.calls.append({"inputs": inputs, **options})
        if self.fails:
            return StandInTRTModule(None)
        module = copy.deepcopy(module)
        if self.wrong:
            module.blend.correction_head.bias.data += 0.3
        if self.freezes:
            decided = module.blend.weight_head(torch.zeros(1, 16, 32, 32))
            module.blend.weight_head = Constant(decided)
        token = f"engine {len(StandInEngine.table)}".encode()
        StandInEngine.table[token] = module
        return StandInTRTModule(StandInEngine(token))


def stand_in_for_tensorrt(monkeypatch: pytest.MonkeyPatch) -> Rig:
    """Puts TensorRT 10, torch2trt and a GPU in place, as far as we call them."""
    rig = Rig()
    trt = types.ModuleType("tensorrt")
    trt.__version__ = "10.3.0"
    trt.BuilderFlag = types.SimpleNamespace(FP16=1, INT8=2, GPU_FALLBACK=3)
    trt.IInt8Calibrator = object
    trt.CalibrationAlgoType = types.SimpleNamespace(ENTROPY_CALIBRATION_2=1)
    to_trt, inner = types.ModuleType("torch2trt"), types.ModuleType("torch2trt.torch2trt")
    to_trt.torch2trt, to_trt.TRTModule = rig.torch2trt, StandInTRTModule
    inner.tensorrt_converter = lambda name: lambda convert: rig.converted.append(name)
    for name, module in (("tensorrt", trt), ("torch2trt", to_trt)):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "torch2trt.torch2trt", inner)
    monkeypatch.setattr(
        tensorrt_build,
        "probe_tensorrt",
        lambda: [EngineProbe("tensorrt", "cuda:0", True, "a stand-in")],
    )
    versions = {"tensorrt": "10.3.0", "torch2trt": "0.5.0"}
    monkeypatch.setattr(tensorrt_build, "library_versions", lambda: versions)
    facts = {"name": "stand-in GPU", "compute_capability": "8.7", "multiprocessors": "16"}
    monkeypatch.setattr(tensorrt_build, "device_facts", lambda device: facts)
    monkeypatch.setattr(TensorRtEngine, "_run_on_device", TensorRtEngine._eagerly)
    return rig
