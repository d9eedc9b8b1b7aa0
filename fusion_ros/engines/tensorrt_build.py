# SPDX-License-Identifier: Apache-2.0
"""TensorRT engines: what is installed, and building one.

TensorRT 8.6 to 10 build through torch2trt. TensorRT 11 dropped the builder flags that torch2trt
sets and the calibrator that it derives from, so that it cannot even be imported; there the network
goes through ONNX and TensorRT's own API. Which way is open is asked of the installed library, not
read from its version.

Written against the real interfaces; not yet run on hardware (see docs/how-to/jetson.md).
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import io
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from fusion_ros.engines.engine import EngineError, EngineProbe
from fusion_ros.engines.tensorrt_layers import register_layers
from fusion_ros.engines.tensorrt_module import INPUTS, OUTPUTS

PRECISIONS = ("float16", "float32", "int8")
_WORKSPACE_BYTES = 1 << 30


def probe_tensorrt() -> list[EngineProbe]:
    """Whether TensorRT could run here; imports it only where a CUDA device answers."""
    name, device = "tensorrt", "cuda:0"
    if importlib.util.find_spec("tensorrt") is None:
        fix = "install NVIDIA TensorRT (part of JetPack; docs/how-to/jetson.md)"
        return [EngineProbe(name, device, False, "TensorRT is not installed", fix)]
    if not torch.cuda.is_available():
        why, fix = "no CUDA device answers", "check `nvidia-smi` and PyTorch's CUDA build"
        return [EngineProbe(name, device, False, why, fix)]
    try:
        wanted = builds_through_torch2trt()
        if wanted and importlib.util.find_spec("torch2trt") is None:
            fix = "install torch2trt from its repository (docs/how-to/jetson.md)"
            return [EngineProbe(name, device, False, "torch2trt is not installed", fix)]
        versions = library_versions()
    except Exception as error:  # a broken installation fails in ways of its own
        return [EngineProbe(name, device, False, f"it does not load: {error}", "reinstall it")]
    why = f"TensorRT {versions['tensorrt']}, built via {'torch2trt' if wanted else 'ONNX'}"
    return [EngineProbe(name, device, True, why)]


def builds_through_torch2trt() -> bool:
    """Whether TensorRT still has what torch2trt sets and derives from."""
    import tensorrt

    flags = tensorrt.BuilderFlag
    return hasattr(tensorrt, "IInt8Calibrator") and all(
        hasattr(flags, flag) for flag in ("FP16", "INT8", "GPU_FALLBACK")
    )


def check_precision(precision: str) -> None:
    """Refuse what the installed TensorRT cannot build.

    Raises:
        EngineError: names the precision, why not, and what is allowed.
    """
    if precision not in PRECISIONS:
        allowed = ", ".join(PRECISIONS)
        raise EngineError(f"precision is {precision!r}; on TensorRT allowed: auto, {allowed}")
    if precision == "int8" and not builds_through_torch2trt():
        raise EngineError(
            f"precision is 'int8': TensorRT {library_versions()['tensorrt']} has no calibrators "
            "(IInt8Calibrator and BuilderFlag.INT8 are gone from release 11 on, which wants the "
            "quantisation written into the network); use 'float16'"
        )


def library_versions() -> dict[str, str]:
    """Versions that a built engine depends on."""
    import tensorrt

    versions = {"tensorrt": str(tensorrt.__version__)}
    if builds_through_torch2trt():
        importlib.import_module("torch2trt")  # installed is not enough: it must load
        versions["torch2trt"] = importlib.metadata.version("torch2trt")
    return versions


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
    check_precision(precision)
    if precision == "int8" and not calibration:
        raise EngineError("precision is 'int8': that needs pictures to calibrate with")
    try:
        if builds_through_torch2trt():
            return _through_torch2trt(core, example, precision, calibration)
        return _through_onnx(core, example, precision)
    except EngineError:
        raise
    except Exception as error:
        raise EngineError(f"TensorRT could not build the engine: {error}") from error


def _through_torch2trt(
    core: nn.Module, example: tuple[Tensor, Tensor], precision: str, calibration: Any
) -> bytes:
    import tensorrt
    from torch2trt import torch2trt

    register_layers()
    module = torch2trt(
        core,
        list(example),
        input_names=INPUTS,
        output_names=OUTPUTS,
        fp16_mode=precision in ("float16", "int8"),
        int8_mode=precision == "int8",
        int8_calib_dataset=calibration,
        # The default of torch2trt 0.5; another one would make another engine of the same pictures.
        int8_calib_algorithm=tensorrt.CalibrationAlgoType.ENTROPY_CALIBRATION_2,
        max_workspace_size=_WORKSPACE_BYTES,
    )
    if module.engine is None:  # torch2trt does not look
        raise EngineError("TensorRT could not build the engine; its log above says why")
    return bytes(module.engine.serialize())


def _through_onnx(core: nn.Module, example: tuple[Tensor, Tensor], precision: str) -> bytes:
    import tensorrt

    # Without flags the network's own types decide: half precision is written into the file.
    if precision == "float16":
        core, example = core.half(), tuple(planes.half() for planes in example)
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tracing, and that there is a newer exporter
        torch.onnx.export(
            core, tuple(example), file, input_names=INPUTS, output_names=OUTPUTS, dynamo=False
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
