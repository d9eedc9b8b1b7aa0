# SPDX-License-Identifier: Apache-2.0
"""Available engines, and the choice among them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fusion_ros.engines.engine import Engine, EngineError, EngineProbe
from fusion_ros.engines.probes import probe_openvino, probe_tensorrt, probe_torch

if TYPE_CHECKING:
    from fusion_ros.model.weights import LoadedWeights

ENGINE_NAMES = ("auto", "torch", "openvino", "tensorrt")
DEVICE_NAMES = ("auto", "cpu", "cuda")

_log = logging.getLogger(__name__)


def probe_engines() -> list[EngineProbe]:
    """Return all engines with their availability and its reason, the preferred one first."""
    probes = [*probe_openvino(), *probe_tensorrt(), *probe_torch()]
    # A GPU runs this network faster than a CPU does. Among equals the order above holds: OpenVINO
    # was faster than PyTorch on every CPU that was measured (python -m benchmarks.engines).
    return sorted(probes, key=lambda probe: (not probe.available, probe.device == "cpu"))


def choose(name: str = "auto", device: str = "auto") -> EngineProbe:
    """Resolve the requested engine and device by availability alone.

    Raises:
        EngineError: the request is unknown or cannot run here.
    """
    return _candidates(name, device)[0]


def create_engine(
    weights: LoadedWeights,
    *,
    name: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    size: tuple[int, int] = (480, 640),
) -> Engine:
    """Create the requested engine.

    "auto" takes the first engine of the best device that can be created. TensorRT takes part if an
    engine for `size` has been built; this function never builds one.

    Args:
        weights: network and metadata.
        name: "auto" or one of `ENGINE_NAMES`.
        device: "auto", "cpu", "cuda" or "cuda:N".
        precision: "auto", "float32", "bfloat16", "float16" or "int8" (OpenVINO alone).
        size: (height, width) of the images, if known.

    Raises:
        EngineError: the request cannot be fulfilled; there is no silent substitute.
    """
    candidates = _candidates(name, device)
    if name != "auto":
        return _make(candidates[0], weights, precision)
    failures: list[str] = []
    for probe in candidates:
        if probe.device != candidates[0].device:
            break
        try:
            engine = _make(probe, weights, precision)
            if probe.name == "tensorrt":
                engine.warm_up(*size)  # fails if no engine was built for this size
        except EngineError as error:
            failures.append(f"{probe.name} failed: {error}")
            _log.warning("engine %s cannot be used, trying the next: %s", probe.name, error)
            continue
        if failures:
            engine.notes["chosen"] = "; ".join(failures)
        return engine
    raise EngineError(f"no engine works here: {'; '.join(failures)}")


def _candidates(name: str, device: str) -> list[EngineProbe]:
    if name not in ENGINE_NAMES:
        raise EngineError(f"engine is {name!r}; allowed: {', '.join(ENGINE_NAMES)}")
    kind, _, index = device.partition(":")
    if kind not in DEVICE_NAMES or (index and not (kind == "cuda" and index.isdecimal())):
        raise EngineError(f"device is {device!r}; allowed: {', '.join(DEVICE_NAMES)} or cuda:N")
    named = [probe for probe in probe_engines() if name in ("auto", probe.name)]
    fitting = [probe for probe in named if device == "auto" or _serves(probe, device)]
    available = [probe for probe in fitting if probe.available]
    if available:
        return available
    if not fitting:
        known = ", ".join(sorted({probe.device for probe in named}))
        raise EngineError(f"engine {name!r} has no device {device!r} here; it has: {known}")
    # For "auto", the probe of PyTorch gives the reason of the device.
    probe = min(fitting, key=lambda probe: probe.name != "torch")
    raise EngineError(
        f"engine {name!r} on device {device!r} cannot run here: {probe.why}; {probe.fix}"
    )


def _serves(probe: EngineProbe, device: str) -> bool:
    # A probe that found no CUDA device stands for all of them.
    return device in (probe.device, probe.device.partition(":")[0]) or (
        not probe.available and probe.device == device.partition(":")[0]
    )


def _make(probe: EngineProbe, weights: LoadedWeights, precision: str) -> Engine:
    if probe.name == "openvino":
        from fusion_ros.engines.openvino_trial import create_openvino

        return create_openvino(weights, precision=precision)
    if probe.name == "tensorrt":
        from fusion_ros.engines.tensorrt.engine import TensorRtEngine

        return TensorRtEngine(weights, device=probe.device, precision=precision)
    from fusion_ros.engines.torch_engine import TorchEngine

    return TorchEngine(weights, device=probe.device, precision=precision)
