# SPDX-License-Identifier: Apache-2.0
"""Timing of calls in turn, and facts about the machine.

Compared calls run in turn within one process, so that other load affects all of them alike. In its
turn a call runs twice and is timed once, which excludes effects of the previous call (caches,
spinning threads). Long calls run once, since these effects are small compared with their time.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fusion_ros.engines.cpu import cpu_has_fast_bfloat16, cpu_name
from fusion_ros.files.writing import write_text

PACKAGES = ("torch", "openvino", "onnxruntime", "tensorrt", "numpy", "opencv-python-headless")


@dataclasses.dataclass(frozen=True)
class Sample:
    """Milliseconds of a call: best, median and 90th percentile."""

    best_ms: float
    median_ms: float
    p90_ms: float
    runs: int

    def divided_by(self, count: int) -> Sample:
        """Return the sample for each of `count` items of one call."""
        times = (self.best_ms, self.median_ms, self.p90_ms)
        return Sample(*(time_ms / count for time_ms in times), self.runs)

    def __str__(self) -> str:
        return f"{self.median_ms:9.2f} {self.best_ms:9.2f} {self.p90_ms:9.2f}"


LEAST_RUNS = 3
#: Milliseconds from which a call counts as long.
LONG_MS = 200.0

HEADER = f"{'median':>9} {'best':>9} {'p90':>9}"


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
    ordered = sorted(times_ms)
    p90 = ordered[min(len(ordered) - 1, int(0.9 * len(ordered)))]
    return Sample(ordered[0], statistics.median(ordered), p90, len(ordered))


def machine() -> dict[str, Any]:
    """Return facts about the machine and the versions."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "cpu": cpu_name(),
        "bfloat16": cpu_has_fast_bfloat16(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "load_average_1min": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "versions": versions,
    }


def report(path: Path | None, title: str, rows: list[dict[str, Any]]) -> None:
    """Write rows and the machine as JSON if a path is given."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"benchmark": title, "machine": machine(), "rows": rows}
    write_text(path, json.dumps(document, indent=1) + "\n")
    print(f"wrote {path}")


def as_row(sample: Sample, **labels: Any) -> dict[str, Any]:
    """Return a sample as a row for `report`."""
    figures = {k: round(v, 3) for k, v in dataclasses.asdict(sample).items()}
    return {**labels, **figures}
