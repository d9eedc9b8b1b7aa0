# SPDX-License-Identifier: Apache-2.0
"""Building of TensorRT engines, from TensorRT 10 on, through ONNX.

Networks are strongly typed: the types in the ONNX file decide the precision.

Written against the real interfaces; not yet run on hardware (see docs/how-to/jetson.md).
"""

from __future__ import annotations

import io
import warnings

import torch
from torch import Tensor, nn

from fusion_ros.engines.engine import EngineError
from fusion_ros.engines.tensorrt.module import INPUTS, OUTPUTS

PRECISIONS = ("float16", "float32")
_WORKSPACE_BYTES = 1 << 30


def device_facts(device: torch.device) -> dict[str, str]:
    """Return the properties of the GPU that a built engine depends on."""
    properties = torch.cuda.get_device_properties(device)
    return {
        "name": properties.name,
        "compute_capability": f"{properties.major}.{properties.minor}",
        "multiprocessors": str(properties.multi_processor_count),
    }


def build_engine(core: nn.Module, example: tuple[Tensor, Tensor], precision: str) -> bytes:
    """Build and serialize an engine for one image size, which takes minutes.

    Args:
        core: float32 network on the CUDA device: (visible, thermal) planes to fused planes.
        example: contiguous planes of the size to build for.
        precision: one of `PRECISIONS`.

    Raises:
        EngineError: the build failed.
    """
    try:
        return _built(_onnx(core, example, precision))
    except EngineError:
        raise
    except Exception as error:
        raise EngineError(f"TensorRT could not build the engine: {error}") from error


def _onnx(core: nn.Module, example: tuple[Tensor, Tensor], precision: str) -> bytes:
    if precision == "float16":
        core, example = core.half(), (example[0].half(), example[1].half())
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about tracing and about the newer exporter
        torch.onnx.export(
            core,
            example,
            file,  # type: ignore[arg-type]  # the TorchScript exporter accepts it
            input_names=INPUTS,
            output_names=OUTPUTS,
            dynamo=False,
        )
    return file.getvalue()


def _built(onnx: bytes) -> bytes:
    import tensorrt

    logger = tensorrt.Logger(tensorrt.Logger.WARNING)
    builder = tensorrt.Builder(logger)
    # TensorRT 11 ignores the flag: all of its networks are strongly typed.
    typed = 1 << int(tensorrt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(typed)
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse(onnx):
        errors = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise EngineError(f"TensorRT cannot parse the network: {errors}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(tensorrt.MemoryPoolType.WORKSPACE, _WORKSPACE_BYTES)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise EngineError("TensorRT could not build the engine; see its log above")
    return bytes(engine)
