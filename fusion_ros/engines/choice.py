# SPDX-License-Identifier: Apache-2.0
"""Which engines there are, which could run here, and which one runs when nobody says."""

from __future__ import annotations

from fusion_ros.engines.engine import Engine, EngineError, EngineProbe
from fusion_ros.model.weights import LoadedWeights

ENGINE_NAMES = ("auto", "torch")
DEVICE_NAMES = ("auto", "cpu", "cuda")


def probe_engines() -> list[EngineProbe]:
    """What could run here, best first among those that can; each says why, or why not."""
    from fusion_ros.engines.torch_engine import probe_torch

    probes = probe_torch()
    # A GPU beats a CPU at this network on every machine that we know of.
    return sorted(probes, key=lambda probe: (not probe.available, probe.device == "cpu"))


def choose(name: str = "auto", device: str = "auto") -> EngineProbe:
    """The engine and device that a wish comes down to here.

    Raises:
        EngineError: the wish names something unknown, or something that cannot run here.
    """
    if name not in ENGINE_NAMES:
        raise EngineError(f"engine is {name!r}; allowed: {', '.join(ENGINE_NAMES)}")
    if device.partition(":")[0] not in DEVICE_NAMES:
        raise EngineError(f"device is {device!r}; allowed: {', '.join(DEVICE_NAMES)} or cuda:N")
    fitting = [
        probe
        for probe in probe_engines()
        if name in ("auto", probe.name)
        and (device in ("auto", probe.device) or probe.device.partition(":")[0] == device)
    ]
    if not fitting:
        raise EngineError(f"engine {name!r} on device {device!r}: there is no such device here")
    if not fitting[0].available:
        raise EngineError(
            f"engine {name!r} on device {device!r} cannot run here: {fitting[0].why}; "
            f"{fitting[0].fix}"
        )
    return fitting[0]


def create_engine(
    weights: LoadedWeights, *, name: str = "auto", device: str = "auto", precision: str = "auto"
) -> Engine:
    """Make the engine that a wish comes down to here.

    Args:
        weights: what it is to run.
        name: "auto" or one of `ENGINE_NAMES`.
        device: "auto", "cpu", "cuda" or "cuda:N".
        precision: "auto", "float32", "bfloat16" or "float16".

    Raises:
        EngineError: the wish cannot be met; nothing else is taken silently in its place.
    """
    from fusion_ros.engines.torch_engine import TorchEngine

    chosen = choose(name, device)
    return TorchEngine(weights, device=chosen.device, precision=precision)
