# SPDX-License-Identifier: Apache-2.0
"""Building of TensorRT engines.

TensorRT 8.6 to 10 build through torch2trt. TensorRT 11 removed the builder flags and the calibrator
class that torch2trt needs, so torch2trt cannot be imported there. With TensorRT 11 the network is
exported to ONNX and built with TensorRT's own API. The installed library is inspected for these
names; its version is not parsed.

Written against the real interfaces; not yet run on hardware (see docs/how-to/jetson.md).
"""

from __future__ import annotations

import importlib
import importlib.metadata
import io
import warnings

import torch
from torch import Tensor, nn

from fusion_ros.engines.engine import EngineError
from fusion_ros.engines.tensorrt.layers import register_layers
from fusion_ros.engines.tensorrt.module import INPUTS, OUTPUTS

PRECISIONS = ("float16", "float32")
_WORKSPACE_BYTES = 1 << 30


def builds_through_torch2trt() -> bool:
    """Return whether the installed TensorRT has the names that torch2trt needs."""
    import tensorrt

    flags = tensorrt.BuilderFlag
    return hasattr(tensorrt, "IInt8Calibrator") and all(
        hasattr(flags, flag) for flag in ("FP16", "INT8", "GPU_FALLBACK")
    )


def library_versions() -> dict[str, str]:
    """Return the versions that a built engine depends on."""
    import tensorrt

    versions = {"tensorrt": str(tensorrt.__version__)}
    if builds_through_torch2trt():
        importlib.import_module("torch2trt")  # an installed module may still fail to import
        versions["torch2trt"] = importlib.metadata.version("torch2trt")
    return versions


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
        if builds_through_torch2trt():
            return _through_torch2trt(core, example, precision)
        return _through_onnx(core, example, precision)
    except EngineError:
        raise
    except Exception as error:
        raise EngineError(f"TensorRT could not build the engine: {error}") from error


def _through_torch2trt(core: nn.Module, example: tuple[Tensor, Tensor], precision: str) -> bytes:
    from torch2trt import torch2trt

    register_layers()
    module = torch2trt(
        core,
        list(example),
        input_names=INPUTS,
        output_names=OUTPUTS,
        fp16_mode=precision == "float16",
        max_workspace_size=_WORKSPACE_BYTES,
    )
    if module.engine is None:  # torch2trt does not check the result
        raise EngineError("TensorRT could not build the engine; see its log above")
    return bytes(module.engine.serialize())


def _through_onnx(core: nn.Module, example: tuple[Tensor, Tensor], precision: str) -> bytes:
    import tensorrt

    # There are no precision flags: the types in the file decide.
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
    logger = tensorrt.Logger(tensorrt.Logger.WARNING)
    builder = tensorrt.Builder(logger)
    network = builder.create_network(0)
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse(file.getvalue()):
        errors = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise EngineError(f"TensorRT cannot parse the network: {errors}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(tensorrt.MemoryPoolType.WORKSPACE, _WORKSPACE_BYTES)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise EngineError("TensorRT could not build the engine; see its log above")
    return bytes(engine)
