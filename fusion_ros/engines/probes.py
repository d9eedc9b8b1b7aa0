# SPDX-License-Identifier: Apache-2.0
"""Availability of each engine, without importing its library where that can be avoided."""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util

from fusion_ros.engines.cpu import cpu_name
from fusion_ros.engines.engine import EngineProbe

_TORCH_FIX = "pip install torch (Jetson: docs/how-to/jetson.md)"


def probe_openvino() -> list[EngineProbe]:
    """Report whether OpenVINO is installed, without importing it."""
    if importlib.util.find_spec("openvino") is None:
        fix = "pip install openvino, the fastest engine on a CPU"
        return [EngineProbe("openvino", "cpu", False, "OpenVINO is not installed", fix)]
    why = f"OpenVINO {_version('openvino')} on {cpu_name()}"
    return [EngineProbe("openvino", "cpu", True, why)]


def probe_torch() -> list[EngineProbe]:
    """Return a probe for the CPU and one for each CUDA device, or one with the reason for none.

    PyTorch, which takes seconds and 240 MB, is imported only if the driver has a CUDA device.
    """
    if importlib.util.find_spec("torch") is None:
        return [
            EngineProbe("torch", device, False, "PyTorch is not installed", _TORCH_FIX)
            for device in ("cpu", "cuda")
        ]
    version = _version("torch")
    probes = [EngineProbe("torch", "cpu", True, f"PyTorch {version} on {cpu_name()}")]
    if not _driver_has_device():
        why, fix = "CUDA's driver has no device", "check `nvidia-smi` and the driver"
        return [*probes, EngineProbe("torch", "cuda", False, why, fix)]
    import torch

    if not torch.cuda.is_available():
        why = f"PyTorch {version} does not use the CUDA device"
        fix = "install a build of PyTorch for this driver (Jetson: NVIDIA's wheel for JetPack)"
        return [*probes, EngineProbe("torch", "cuda", False, why, fix)]
    return probes + [
        EngineProbe("torch", f"cuda:{index}", True, torch.cuda.get_device_name(index))
        for index in range(torch.cuda.device_count())
    ]


def probe_tensorrt() -> list[EngineProbe]:
    """Report whether TensorRT can run here; it is imported only if a CUDA device is found."""
    name, device = "tensorrt", "cuda:0"
    if importlib.util.find_spec("tensorrt") is None:
        fix = "install NVIDIA TensorRT (part of JetPack; docs/how-to/jetson.md)"
        return [EngineProbe(name, device, False, "TensorRT is not installed", fix)]
    cuda = probe_torch()[-1]
    if not cuda.available or cuda.device == "cpu":
        return [EngineProbe(name, device, False, cuda.why, cuda.fix)]
    from fusion_ros.engines.tensorrt.builder import builds_through_torch2trt, library_versions

    try:
        if builds_through_torch2trt() and importlib.util.find_spec("torch2trt") is None:
            fix = "install torch2trt from its repository (docs/how-to/jetson.md)"
            return [EngineProbe(name, device, False, "torch2trt is not installed", fix)]
        why = ", ".join(f"{k} {v}" for k, v in library_versions().items())
    except Exception as error:  # a broken installation fails in arbitrary ways
        why, fix = f"TensorRT cannot be imported ({error})", "reinstall TensorRT or torch2trt"
        return [EngineProbe(name, device, False, why, fix)]
    return [EngineProbe(name, device, True, why)]


def _driver_has_device() -> bool:
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int(0)
    initialised = driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0
    return initialised and count.value > 0


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "of unknown version"
