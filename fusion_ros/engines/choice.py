# SPDX-License-Identifier: Apache-2.0
"""Which engines there are, which could run here, and which one runs when nobody says."""

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

#: Engines on one device are compared on pictures of this size: large enough that what decides is
#: the arithmetic, small enough that all of it takes a second at start-up.
TRIAL_HEIGHT, TRIAL_WIDTH = 256, 320
#: For all timed runs, where it is close or the machine is busy; else three rounds are enough.
TRIAL_SECONDS = 1.0

_log = logging.getLogger(__name__)


def probe_engines() -> list[EngineProbe]:
    """What could run here, best first among those that can; each says why, or why not."""
    from fusion_ros.engines.openvino_engine import probe_openvino
    from fusion_ros.engines.tensorrt_build import probe_tensorrt
    from fusion_ros.engines.torch_engine import probe_torch

    probes = [*probe_openvino(), *probe_torch(), *probe_tensorrt()]
    # A GPU beats a CPU at this network on every machine that we know of. Among equals the order
    # above holds: OpenVINO beat PyTorch on every CPU that we measured.
    return sorted(probes, key=lambda probe: (not probe.available, probe.device == "cpu"))


def choose(name: str = "auto", device: str = "auto") -> EngineProbe:
    """The engine and device that a wish comes down to here, by what is installed alone.

    Raises:
        EngineError: the wish names something unknown, or something that cannot run here.
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
    """Make the engine that a wish comes down to here.

    Where "auto" leaves several engines for the best device, each is made and timed briefly, and the
    fastest stays; its description says so under "chosen". TensorRT is among them where an engine
    for `size` has been built; it is never built here.

    Args:
        weights: what it is to run.
        name: "auto" or one of `ENGINE_NAMES`.
        device: "auto", "cpu", "cuda" or "cuda:N".
        precision: "auto", "float32", "bfloat16", "float16" or, with TensorRT, "int8".
        size: (height, width) at which "auto" compares; the default keeps starting short.
        tune_threads: set PyTorch's process-wide number of threads where its CPU engine is made; for
            entry points, which own the process.

    Raises:
        EngineError: the wish cannot be met; nothing else is taken silently in its place.
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
    fitting = [
        probe
        for probe in probe_engines()
        if name in ("auto", probe.name) and (device == "auto" or _serves(probe, device))
    ]
    available = [probe for probe in fitting if probe.available]
    if available:
        return available
    # An engine says best itself why it is not there; for "auto" PyTorch speaks for the device.
    for probe in sorted(fitting, key=lambda probe: probe.name != "torch"):
        raise EngineError(
            f"engine {name!r} on device {device!r} cannot run here: {probe.why}; {probe.fix}"
        )
    known = ", ".join(sorted({p.device for p in probe_engines() if name in ("auto", p.name)}))
    raise EngineError(f"engine {name!r} has no device {device!r} here; it has: {known}")


def _serves(probe: EngineProbe, device: str) -> bool:
    # A probe that found no CUDA at all speaks for every CUDA device.
    return device in (probe.device, probe.device.partition(":")[0]) or (
        not probe.available and probe.device == device.partition(":")[0]
    )


def _make(probe: EngineProbe, weights: LoadedWeights, precision: str, tune_threads: bool) -> Engine:
    if probe.name == "openvino":
        from fusion_ros.engines.openvino_engine import OpenVinoEngine

        return OpenVinoEngine(weights, precision=precision)
    if probe.name == "tensorrt":
        from fusion_ros.engines.tensorrt_engine import TensorRtEngine

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

    def attempt(name: str, work: Callable[[], object]) -> None:
        try:
            work()
        except EngineError as error:
            # One engine that fails costs that engine only, but is never passed over in silence.
            failures.append(f"{name} failed: {error}")
            _log.warning("engine %s cannot be used, trying the next: %s", name, error)
            if name in engines:
                trials.drop(name)
                engines.pop(name).close()

    for probe in probes:
        attempt(probe.name, lambda probe=probe: engines.update({probe.name: make(probe)}))
    trials = Trials(list(engines), seconds=TRIAL_SECONDS)
    while trials.goes_on():
        for name in trials.names:
            attempt(name, lambda name=name: trials.add(name, _trial_ms(engines[name], size)))
    if not engines:
        raise EngineError(f"no engine works here: {'; '.join(failures)}")
    chosen = trials.winner()
    for name, engine in engines.items():
        if name != chosen:
            engine.close()
    engines[chosen].notes["chosen"] = _reason(chosen, trials.best_ms(), failures, size)
    return engines[chosen]


def _trial_ms(engine: Engine, shape: tuple[int, int]) -> float:
    """One run, after one that is not timed: threads of the engine before may still spin."""
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
