# SPDX-License-Identifier: Apache-2.0
"""TensorRT engines: what is installed, building one, loading one.

TensorRT 8.6 to 10 build through torch2trt. TensorRT 11 dropped the builder flags that torch2trt
sets, so there the network goes through ONNX and TensorRT's own API. Which way is open is asked of
the installed library, not read from its version.

Written against the real interfaces; not yet run on hardware (see docs/jetson.md).
"""

from __future__ import annotations

import importlib.util
import io
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fusion_ros.engines.engine import EngineError, EngineProbe

PRECISIONS = ("float16", "float32", "int8")
_INPUTS, _OUTPUTS = ["visible", "thermal"], ["fused"]
_WORKSPACE_BYTES = 1 << 30


def probe_tensorrt() -> list[EngineProbe]:
    """Whether TensorRT could run here; imports it only where a CUDA device answers."""
    name, device = "tensorrt", "cuda:0"
    if importlib.util.find_spec("tensorrt") is None:
        fix = "install NVIDIA TensorRT (part of JetPack; docs/jetson.md)"
        return [EngineProbe(name, device, False, "TensorRT is not installed", fix)]
    if importlib.util.find_spec("torch2trt") is None:
        fix = "install torch2trt from its repository with --no-build-isolation (docs/jetson.md)"
        return [EngineProbe(name, device, False, "torch2trt is not installed", fix)]
    if not torch.cuda.is_available():
        why, fix = "no CUDA device answers", "check `nvidia-smi` and PyTorch's CUDA build"
        return [EngineProbe(name, device, False, why, fix)]
    try:
        versions = library_versions()
    except Exception as error:  # a broken installation fails in ways of its own
        return [EngineProbe(name, device, False, f"it does not load: {error}", "reinstall it")]
    why = (
        f"TensorRT {versions['tensorrt']}, built {'via torch2trt' if _has_flags() else 'via ONNX'}"
    )
    return [EngineProbe(name, device, True, why)]


def library_versions() -> dict[str, str]:
    """Versions that a built engine depends on."""
    import tensorrt
    import torch2trt

    return {
        "tensorrt": str(tensorrt.__version__),
        "torch2trt": str(getattr(torch2trt, "__version__", "unknown")),
    }


def device_facts(device: torch.device) -> dict[str, str]:
    """What of the GPU a built engine depends on."""
    properties = torch.cuda.get_device_properties(device)
    return {
        "name": properties.name,
        "compute_capability": f"{properties.major}.{properties.minor}",
        "multiprocessors": str(properties.multi_processor_count),
    }


def build(
    core: nn.Module, example: tuple[Tensor, Tensor], precision: str, calibration: Any = None
) -> bytes:
    """Build an engine for one size; takes minutes.

    Args:
        core: float32 network on the CUDA device: (visible, thermal) planes to fused planes.
        example: planes of the size to build for, contiguous.
        precision: one of `PRECISIONS`.
        calibration: for int8, a sequence of [visible, thermal] as `example`.

    Returns:
        The serialized engine.

    Raises:
        EngineError: the build failed, or the installed TensorRT cannot do the precision.
    """
    if precision not in PRECISIONS:
        raise EngineError(f"precision is {precision!r}; on TensorRT allowed: {PRECISIONS}")
    if precision == "int8" and not calibration:
        raise EngineError("precision is 'int8': that needs pictures to calibrate with")
    try:
        if _has_flags():
            return _through_torch2trt(core, example, precision, calibration)
        return _through_onnx(core, example, precision)
    except EngineError:
        raise
    except Exception as error:
        raise EngineError(f"TensorRT could not build the engine: {error}") from error


def load(path: Path) -> nn.Module:
    """A built engine as a module.

    Raises:
        EngineError: TensorRT does not take the file.
    """
    from torch2trt import TRTModule

    try:
        module = TRTModule(str(path), _INPUTS, _OUTPUTS)
    except Exception as error:
        raise EngineError(f"TensorRT does not load {path}: {error}") from error
    if module.engine is None:  # deserializing fails by returning nothing
        raise EngineError(f"TensorRT does not load {path}; its log above says why")
    return ContiguousInputs(module)


class ContiguousInputs(nn.Module):
    """torch2trt hands over bare addresses: inputs must be contiguous, and live until the end."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, visible: Tensor, thermal: Tensor) -> Tensor:
        visible, thermal = visible.contiguous(), thermal.contiguous()
        return self.module(visible, thermal)


def _has_flags() -> bool:
    """Whether TensorRT still knows the precision flags that torch2trt sets."""
    import tensorrt

    flags = tensorrt.BuilderFlag
    return all(hasattr(flags, flag) for flag in ("FP16", "INT8", "GPU_FALLBACK"))


def _through_torch2trt(
    core: nn.Module, example: tuple[Tensor, Tensor], precision: str, calibration: Any
) -> bytes:
    from torch2trt import torch2trt

    _register_pixel_shuffle()
    module = torch2trt(
        core,
        list(example),
        input_names=_INPUTS,
        output_names=_OUTPUTS,
        fp16_mode=precision in ("float16", "int8"),
        int8_mode=precision == "int8",
        int8_calib_dataset=calibration,
        max_workspace_size=_WORKSPACE_BYTES,
    )
    if module.engine is None:  # torch2trt does not look
        raise EngineError("TensorRT could not build the engine; its log above says why")
    return bytes(module.engine.serialize())


def _through_onnx(core: nn.Module, example: tuple[Tensor, Tensor], precision: str) -> bytes:
    import tensorrt

    if precision == "int8":
        raise EngineError("precision is 'int8': this TensorRT has no calibrator; use 'float16'")
    # Without flags the network's own types decide: half precision is written into the file.
    if precision == "float16":
        core, example = core.half(), tuple(planes.half() for planes in example)
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tracing, and that there is a newer exporter
        torch.onnx.export(
            core, tuple(example), file, input_names=_INPUTS, output_names=_OUTPUTS, dynamo=False
        )
    logger = tensorrt.Logger(tensorrt.Logger.WARNING)
    builder = tensorrt.Builder(logger)
    network = builder.create_network(0)
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse(file.getvalue()):
        errors = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise EngineError(f"TensorRT does not read the network: {errors}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(tensorrt.MemoryPoolType.WORKSPACE, _WORKSPACE_BYTES)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise EngineError("TensorRT could not build the engine; its log above says why")
    return bytes(engine)


def _register_pixel_shuffle() -> None:
    """Teach torch2trt the one layer of ours that it does not know."""
    import tensorrt
    from torch2trt.torch2trt import CONVERTERS, add_missing_trt_tensors, tensorrt_converter

    name = "torch.nn.functional.pixel_shuffle"
    if any(entry == name for entry in map(str, CONVERTERS)):
        return

    @tensorrt_converter(name)
    def convert(context: Any) -> None:
        source, factor = context.method_args[0], int(context.method_args[1])
        (tensor,) = add_missing_trt_tensors(context.network, [source])
        batch, channels, height, width = source.shape
        planes = channels // factor**2
        split = context.network.add_shuffle(tensor)
        split.reshape_dims = (batch, planes, factor, factor, height, width)
        split.second_transpose = tensorrt.Permutation([0, 1, 4, 2, 5, 3])
        joined = context.network.add_shuffle(split.get_output(0))
        joined.reshape_dims = (batch, planes, height * factor, width * factor)
        context.method_return._trt = joined.get_output(0)
