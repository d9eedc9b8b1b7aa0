# SPDX-License-Identifier: Apache-2.0
"""Timing of calls in turn, load by other processes, and facts about the machine.

Compared calls run in turn within one process, so that other load affects all of them alike. In its
turn a call runs twice and is timed once, which excludes effects of the previous call (caches,
spinning threads). Long calls run once, since these effects are small compared with their time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from fusion_ros.engines.cpu import cpu_has_fast_bfloat16, cpu_name

PACKAGES = ("openvino", "torch", "numpy")
LEAST_RUNS = 3
#: Milliseconds from which a call counts as long.
LONG_MS = 200.0


@dataclasses.dataclass(frozen=True)
class Sample:
    """Milliseconds of a call."""

    best_ms: float
    median_ms: float
    runs: int


def measure(
    calls: Mapping[str, Callable[[], object]],
    *,
    runs: int = 30,
    warm_up: int = 2,
    seconds: float = 20.0,
) -> dict[str, Sample]:
    """Time the calls in turn.

    Args:
        calls: functions by name.
        runs: timed runs of each within `seconds`; at least `LEAST_RUNS`.
        warm_up: untimed runs of each.
        seconds: limit for all runs together.
    """
    for call in calls.values():
        for _ in range(warm_up):
            call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    until = time.monotonic() + seconds
    for turn in range(runs):
        if turn >= LEAST_RUNS and time.monotonic() > until:
            break
        for name, call in calls.items():
            if len(calls) > 1 and not any(took > LONG_MS for took in times[name]):
                call()
            begun_ns = time.perf_counter_ns()
            call()
            times[name].append((time.perf_counter_ns() - begun_ns) / 1e6)
    return {name: summary(values) for name, values in times.items()}


def summary(times_ms: list[float]) -> Sample:
    """Return the sample of one call's times."""
    return Sample(min(times_ms), statistics.median(times_ms), len(times_ms))


class LoadWatch:
    """Share of other processes in the processors' time (Linux).

    This process and its finished children are not counted, so read it after the last `wait`.
    """

    def __init__(self) -> None:
        self._begun = _clocks()

    def others_percent(self) -> float:
        """Return the share since the creation."""
        wall_s, busy_s, ours_s = (n - b for n, b in zip(_clocks(), self._begun, strict=True))
        return 100 * max(busy_s - ours_s, 0.0) / wall_s / (os.cpu_count() or 1)


def _clocks() -> tuple[float, float, float]:
    """Return seconds: of the clock, of all busy processors, and of this process and children."""
    fields = Path("/proc/stat").read_text(encoding="ascii").split(maxsplit=9)[1:9]
    user, nice, system, _, _, interrupts, soft, stolen = map(int, fields)
    ticks = user + nice + system + interrupts + soft + stolen
    return time.monotonic(), ticks / os.sysconf("SC_CLK_TCK"), sum(os.times()[:4])


def machine() -> str:
    """Return processor, cores and versions, as a table's origin states them."""
    versions = [f"Python {platform.python_version()}"]
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions.append(f"{name} {importlib.metadata.version(name)}")
    bfloat16 = "with" if cpu_has_fast_bfloat16() else "without"
    cores = len(os.sched_getaffinity(0))
    return f"{cpu_name()}, cores: {cores}, {bfloat16} bfloat16; {', '.join(versions)}"
