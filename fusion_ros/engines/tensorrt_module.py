# SPDX-License-Identifier: Apache-2.0
"""A built TensorRT engine as a PyTorch module.

Written against the real interfaces; not yet run on hardware (see docs/how-to/jetson.md).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fusion_ros.engines.engine import EngineError

INPUTS, OUTPUTS = ["visible", "thermal"], ["fused"]


def load_engine(path: Path, data: bytes, *, through_torch2trt: bool) -> nn.Module:
    """A built engine: (visible, thermal) float32 planes to fused planes, any layout in memory.

    Args:
        path: of a serialized engine.
        data: the bytes of that file, checked.
        through_torch2trt: run it with torch2trt's module. Where TensorRT has outgrown torch2trt
            that cannot even be imported, and ours takes its place.

    Raises:
        EngineError: TensorRT does not take the file.
    """
    try:
        if through_torch2trt:
            from torch2trt import TRTModule

            module = TRTModule(str(path), INPUTS, OUTPUTS)
        else:
            module = EngineModule(path, data)
    except EngineError:
        raise
    except Exception as error:
        raise EngineError(f"TensorRT does not load {path}: {error}") from error
    if module.engine is None:  # deserializing fails by returning nothing
        raise EngineError(f"TensorRT does not load {path}; its log above says why")
    return ContiguousInputs(module)


class ContiguousInputs(nn.Module):
    """TensorRT is given bare addresses: inputs must be contiguous, and live until the end."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, visible: Tensor, thermal: Tensor) -> Tensor:
        visible, thermal = visible.contiguous(), thermal.contiguous()
        return self.module(visible, thermal)


class EngineModule(nn.Module):
    """Runs an engine on the current stream with TensorRT's own API, 8.5 and later.

    Inputs are converted to what the engine takes: built from a half precision network, it takes
    half precision.
    """

    def __init__(self, path: Path, data: bytes) -> None:
        import tensorrt

        super().__init__()
        # The runtime must live as long as what it made.
        self._runtime = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.WARNING))
        self.engine = self._runtime.deserialize_cuda_engine(data)
        if self.engine is None:
            return
        self._context = self.engine.create_execution_context()
        if self._context is None:
            raise EngineError(f"TensorRT has no memory to run {path}; its log above says more")
        self._types = {name: self._type(tensorrt, name) for name in [*INPUTS, *OUTPUTS]}
        self._shape = tuple(self.engine.get_tensor_shape(OUTPUTS[0]))

    def forward(self, visible: Tensor, thermal: Tensor) -> Tensor:
        pair = [x.to(self._types[name]) for name, x in zip(INPUTS, (visible, thermal), strict=True)]
        fused = visible.new_empty(self._shape, dtype=self._types[OUTPUTS[0]])
        for name, tensor in zip([*INPUTS, *OUTPUTS], [*pair, fused], strict=True):
            self._context.set_tensor_address(name, tensor.data_ptr())
        if not self._context.execute_async_v3(_current_stream(visible.device)):
            raise RuntimeError("TensorRT did not take the work; its log above says why")
        return fused

    def _type(self, tensorrt: Any, name: str) -> torch.dtype:
        numpy_type = tensorrt.nptype(self.engine.get_tensor_dtype(name))
        return torch.from_numpy(np.empty(0, numpy_type)).dtype


def _current_stream(device: torch.device) -> int:
    return torch.cuda.current_stream(device).cuda_stream
