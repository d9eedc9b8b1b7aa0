# SPDX-License-Identifier: Apache-2.0
"""Available engines, and the choice among them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from fusion_ros.engines.engine import Engine, EngineError, EngineProbe, even_pair
from fusion_ros.engines.trials import Trials

if TYPE_CHECKING:
    from fusion_ros.model.weights import LoadedWeights

ENGINE_NAMES = ("auto", "torch", "openvino", "tensorrt")
DEVICE_NAMES = ("auto", "cpu", "cuda")

#: Engines on one device are compared at this size. It is large enough for arithmetic to dominate
#: and small enough for the comparison to take a second at start-up.
TRIAL_HEIGHT, TRIAL_WIDTH = 256, 320
#: Limit for all timed runs of a close decision or on a busy machine; otherwise three rounds do.
TRIAL_SECONDS = 1.0

_log = logging.getLogger(__name__)


def probe_engines() -> list[EngineProbe]:
    """Return all engines with their availability and its reason, the preferred one first."""
    from fusion_ros.engines.openvino_engine import probe_openvino
    from fusion_ros.engines.tensorrt.builder import probe_tensorrt
    from fusion_ros.engines.torch_engine import probe_torch

    probes = [*probe_openvino(), *probe_torch(), *probe_tensorrt()]
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
    size: tuple[int, int] = (TRIAL_HEIGHT, TRIAL_WIDTH),
    tune_threads: bool = False,
) -> Engine:
    """Create the requested engine.

    If "auto" leaves several engines for the best device, each is created and timed briefly, and
    the fastest is kept; its description names the reason under "chosen". TensorRT takes part if an
    engine for `size` has been built; this function never builds one.

    Args:
        weights: network and metadata.
        name: "auto" or one of `ENGINE_NAMES`.
        device: "auto", "cpu", "cuda" or "cuda:N".
        precision: "auto", "float32", "bfloat16" or "float16".
        size: (height, width) at which "auto" compares; the default keeps the start short.
        tune_threads: set PyTorch's process-wide number of threads for its CPU engine; for entry
            points, which own the process.

    Raises:
        EngineError: the request cannot be fulfilled; there is no silent substitute.
    """
    candidates = _candidates(name, device)
    rivals = [probe for probe in candidates if probe.device == candidates[0].device]
    if name != "auto" or len(rivals) == 1:
        return _make(rivals[0], weights, precision, tune_threads)
    return _fastest(rivals, lambda probe: _make(probe, weights, precision, tune_threads), size)


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


def _make(probe: EngineProbe, weights: LoadedWeights, precision: str, tune_threads: bool) -> Engine:
    if probe.name == "openvino":
        from fusion_ros.engines.openvino_engine import OpenVinoEngine

        return OpenVinoEngine(weights, precision=precision)
    if probe.name == "tensorrt":
        from fusion_ros.engines.tensorrt.engine import TensorRtEngine

        return TensorRtEngine(weights, device=probe.device, precision=precision)
    from fusion_ros.engines.torch_engine import TorchEngine

    engine = TorchEngine(weights, device=probe.device, precision=precision)
    if tune_threads:
        engine.tune_threads()
    return engine


def _fastest(
    probes: list[EngineProbe], make: Callable[[EngineProbe], Engine], size: tuple[int, int]
) -> Engine:
    engines: dict[str, Engine] = {}
    failures: list[str] = []

    def exclude(name: str, error: EngineError) -> None:
        # A failure excludes this engine only, and is reported.
        failures.append(f"{name} failed: {error}")
        _log.warning("engine %s cannot be used, trying the next: %s", name, error)

    for probe in probes:
        try:
            engines[probe.name] = make(probe)
        except EngineError as error:
            exclude(probe.name, error)
    trials = Trials(list(engines), seconds=TRIAL_SECONDS)
    while trials.needs_another_round():
        for name in trials.names:
            try:
                trials.add(name, _trial_ms(engines[name], size))
            except EngineError as error:
                exclude(name, error)
                trials.drop(name)
                engines.pop(name).close()
    if not engines:
        raise EngineError(f"no engine works here: {'; '.join(failures)}")
    chosen = trials.winner()
    for name in set(engines) - {chosen}:
        engines[name].close()
    engines[chosen].notes["chosen"] = _reason(chosen, trials.best_ms(), failures, size)
    return engines[chosen]


def _trial_ms(engine: Engine, shape: tuple[int, int]) -> float:
    """Time one run after an untimed one: threads of the previous engine may still spin."""
    pair = even_pair(*shape, engine.visible_channels)
    engine.infer(*pair)
    begun_ns = time.perf_counter_ns()
    engine.infer(*pair)
    return (time.perf_counter_ns() - begun_ns) / 1e6


def _reason(
    chosen: str, best_ms: dict[str, float], failures: list[str], size: tuple[int, int]
) -> str:
    ranked = sorted(best_ms, key=best_ms.__getitem__)
    figures = ", ".join(f"{name} {best_ms[name]:.1f} ms" for name in ranked)
    why = "fastest" if chosen == ranked[0] else f"{chosen}, as none is clearly faster,"
    return "; ".join([f"{why} at {size[1]}x{size[0]}: {figures}", *failures])
