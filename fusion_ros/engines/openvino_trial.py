# SPDX-License-Identifier: Apache-2.0
"""Use of 8-bit integers on OpenVINO: a comparison of image and time with float32 decides."""

from __future__ import annotations

import dataclasses
import json
import logging
import statistics
import time
from collections.abc import Callable

from fusion_ros.engines.cpu import cpu_has_fast_bfloat16
from fusion_ros.engines.engine import Engine, EngineError
from fusion_ros.engines.engine_cache import EngineKey
from fusion_ros.engines.openvino_engine import OpenVinoEngine
from fusion_ros.engines.parity import Parity, compare, golden_pair, is_good_enough
from fusion_ros.model.onnx_file import int8_path
from fusion_ros.model.weights import LoadedWeights, WeightsError

_log = logging.getLogger(__name__)

#: Height and width of the pair of the trial.
TRIAL_SIZE = (240, 320)
TIMED_CALLS = 7
#: Share of float32's time that int8 may take at most for "auto"; it pays for the larger error.
MOST_TIME = 0.9

Timer = Callable[[Engine, Engine], tuple[float, float]]
"""Function from two engines to the milliseconds of a call of each."""


@dataclasses.dataclass(frozen=True)
class Trial:
    """Comparison of int8 with float32: difference of the images, and milliseconds of a call."""

    parity: Parity
    float32_ms: float
    int8_ms: float

    @property
    def keeps_image(self) -> bool:
        """Return whether the image is within the limits of int8."""
        return is_good_enough(self.parity, "int8")

    @property
    def is_worth_it(self) -> bool:
        """Return whether "auto" takes int8."""
        return self.keeps_image and self.int8_ms <= MOST_TIME * self.float32_ms

    def __str__(self) -> str:
        height, width = TRIAL_SIZE
        return (
            f"int8 {self.int8_ms:.1f} ms, float32 {self.float32_ms:.1f} ms at {width}x{height}; "
            f"{self.parity}"
        )


def median_ms(first: Engine, second: Engine) -> tuple[float, float]:
    """Return the median milliseconds of a call of each engine, called in turn."""
    pair = golden_pair(*TRIAL_SIZE, first.visible_channels)
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(TIMED_CALLS):
        for engine, taken in zip((first, second), times, strict=True):
            begun_s = time.perf_counter()
            engine.infer(*pair)
            taken.append(1e3 * (time.perf_counter() - begun_s))
    return statistics.median(times[0]), statistics.median(times[1])


def create_openvino(
    weights: LoadedWeights, *, precision: str = "auto", timer: Timer = median_ms
) -> OpenVinoEngine:
    """Create the engine in the requested precision.

    "auto" is bfloat16 on CPUs that multiply it in hardware. On others it is int8 if the weights
    have an int8 file, the image is within its limits and the time is at most `MOST_TIME` of
    float32's; else float32. The comparison is kept in the cache on disk.

    Raises:
        EngineError: as for `OpenVinoEngine`; "int8" is requested and the image is not within its
            limits.
        WeightsError: the weights cannot be converted; "int8" is requested and its file is damaged.
    """
    if precision != "int8" and (
        precision != "auto" or cpu_has_fast_bfloat16() or not int8_path(weights.path).is_file()
    ):
        return OpenVinoEngine(weights, precision=precision)
    try:
        trial = _trial(weights, timer)
    except (EngineError, WeightsError) as error:
        if precision == "int8":
            raise
        _log.warning("int8 cannot be used, float32 is: %s", error)
        return OpenVinoEngine(weights, precision="float32")
    if precision == "int8" and not trial.keeps_image:
        raise EngineError(
            f"precision is 'int8', but its image differs too much on this CPU ({trial.parity}); "
            "use 'auto'"
        )
    takes_int8 = precision == "int8" or trial.is_worth_it
    engine = OpenVinoEngine(weights, precision="int8" if takes_int8 else "float32")
    engine.notes["int8 trial"] = str(trial)
    return engine


def _trial(weights: LoadedWeights, timer: Timer) -> Trial:
    """Return the comparison from the cache, or make and store it."""
    int8 = OpenVinoEngine(weights, precision="int8")
    key = EngineKey("comparison", {"size": list(TRIAL_SIZE), **int8.facts()})
    cache = int8.cache.within("trials")
    if (found := cache.find(key)).path is not None:
        values = json.loads(found.data)
        return Trial(Parity(**values.pop("parity")), **values)
    float32 = OpenVinoEngine(weights, precision="float32")
    pair = golden_pair(*TRIAL_SIZE, float32.visible_channels)
    parity = compare(int8.infer(*pair), float32.infer(*pair))
    trial = Trial(parity, *timer(float32, int8))
    cache.store_if_possible(key, json.dumps(dataclasses.asdict(trial)).encode())
    for engine in (int8, float32):
        engine.close()
    return trial
