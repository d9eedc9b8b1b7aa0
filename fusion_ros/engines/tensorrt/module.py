# SPDX-License-Identifier: Apache-2.0
"""A serialized TensorRT engine as a PyTorch module.

Written against the real interfaces; not yet run on hardware (see docs/how-to/jetson.md).
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from fusion_ros.engines.engine import EngineError

INPUTS, OUTPUTS = ["visible", "thermal"], ["fused"]
#: By the names of `tensorrt.DataType`; `tensorrt.nptype` fails with newer releases of NumPy.
_TYPES = {"FLOAT": torch.float32, "HALF": torch.float16}


class EngineModule(nn.Module):
    """Run an engine on the current stream with TensorRT's own API (8.5 and later).

    Inputs are planes of any float type and memory layout; they are converted to the engine's types.

    `data` are the verified bytes of `path`.

    Raises:
        EngineError: TensorRT cannot load the engine.
    """

    def __init__(self, path: Path, data: bytes) -> None:
        import tensorrt

        super().__init__()
        try:
            # The runtime must outlive the engine.
            self._runtime = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.WARNING))
            self.engine = self._runtime.deserialize_cuda_engine(data)
        except Exception as error:
            raise EngineError(f"TensorRT cannot load {path}: {error}") from error
        if self.engine is None:
            raise EngineError(f"TensorRT cannot load {path}; see its log above")
        self._context = self.engine.create_execution_context()
        if self._context is None:
            raise EngineError(f"TensorRT has no memory to run {path}; see its log above")
        self._types = {
            name: _TYPES[self.engine.get_tensor_dtype(name).name] for name in [*INPUTS, *OUTPUTS]
        }
        self._shape = tuple(self.engine.get_tensor_shape(OUTPUTS[0]))

    def forward(self, visible: Tensor, thermal: Tensor) -> Tensor:
        """Enqueue the engine and return the fused planes."""
        # TensorRT receives addresses: inputs must be contiguous and outlive the call.
        pair = [
            planes.to(self._types[name]).contiguous()
            for name, planes in zip(INPUTS, (visible, thermal), strict=True)
        ]
        fused = visible.new_empty(self._shape, dtype=self._types[OUTPUTS[0]])
        for name, tensor in zip([*INPUTS, *OUTPUTS], [*pair, fused], strict=True):
            self._context.set_tensor_address(name, tensor.data_ptr())
        if not self._context.execute_async_v3(_current_stream(visible.device)):
            raise RuntimeError("TensorRT did not enqueue the engine; see its log above")
        return fused


def _current_stream(device: torch.device) -> int:
    return torch.cuda.current_stream(device).cuda_stream
