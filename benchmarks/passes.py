# SPDX-License-Identifier: Apache-2.0
"""Count the passes over pixels around the network, their bytes and their time.

    python -m benchmarks.passes [--size 640x480] [--runs 60] [--json FILE]

Every call of OpenCV between sensor and engine, and between engine and result, is recorded: bytes of
the arrays that it reads and writes, and its best time. `at copy speed` is the time of NumPy's
copy for the same bytes. A pass that takes much longer is limited by arithmetic, not by memory.
OpenCV runs on one thread, so that times and bytes are those of one core.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.report.tables import report
from benchmarks.whole_path import Case, MeasuredCase
from fusion_ros.cli.argument_types import image_size
from fusion_ros.engines.choice import create_engine
from fusion_ros.engines.process import configure_process
from fusion_ros.imaging import colour
from fusion_ros.model.weights import load_weights, shipped_weights
from fusion_ros.registration import sampling_map, seam, warp
from fusion_ros.thermal import tone

STAGES = {"tone": (tone,), "registration": (sampling_map, warp), "seam": (seam,)}
STAGES["luma and recolour"] = (colour,)
COLUMNS = ["", "passes", "MB", "ms", "at copy speed", "longest passes, ms"]
CASES = (Case(), Case(thermal="uint16", registration="homography"))
SHOWN = 4


class Recorder:
    """Stands in for the module cv2 and records each call.

    Attributes:
        calls: name, bytes and seconds of the calls since the last `clear`.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, int, float]] = []

    def __getattr__(self, name: str) -> Any:
        real = getattr(cv2, name)
        is_function = callable(real) and not isinstance(real, type)
        return self._recorded(name, real) if is_function else real

    def _recorded(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            begun_s = time.perf_counter()
            result = real(*args, **named)
            took_s = time.perf_counter() - begun_s
            read = [x for x in (*args, result) if isinstance(x, np.ndarray)]
            self.calls.append((name, sum(array.nbytes for array in read), took_s))
            return result

        return call


@contextmanager
def recorders() -> Iterator[dict[str, Recorder]]:
    """Put a recorder in place of cv2 in the modules of each stage."""
    found = {stage: Recorder() for stage in STAGES}
    try:
        for stage, modules in STAGES.items():
            for module in modules:
                vars(module)["cv2"] = found[stage]
        yield found
    finally:
        for modules in STAGES.values():
            for module in modules:
                vars(module)["cv2"] = cv2


def copy_bytes_a_second() -> float:
    """Return the bytes read and written in a second by copying an image in the caches."""
    source = np.ones((480, 640, 3), np.uint8)
    target = np.empty_like(source)
    best_s = min(_timed(lambda: np.copyto(target, source)) for _ in range(200))
    return 2 * source.nbytes / best_s


def _timed(call: Callable[[], object]) -> float:
    begun_s = time.perf_counter()
    call()
    return time.perf_counter() - begun_s


def rows_of(measured: MeasuredCase, name: str, runs: int, copied: float) -> list[list[str]]:
    """Return a row for each stage of a case, and their sum."""
    frames: dict[str, list[list[tuple[str, int, float]]]] = {stage: [] for stage in STAGES}
    with recorders() as found:
        for _ in range(runs):
            for recorder in found.values():
                recorder.calls.clear()
            measured.take()
            for stage, recorder in found.items():
                frames[stage].append(list(recorder.calls))
    rows, total = [], np.zeros(3)
    for stage, calls in frames.items():
        best_s = np.array([[s for *_, s in frame] for frame in calls]).min(axis=0)
        size = sum(bytes_ for _, bytes_, _ in calls[0])
        total += len(best_s), size, best_s.sum()
        longest = sorted(zip(best_s, calls[0], strict=True), key=lambda c: -c[0])[:SHOWN]
        shown = ", ".join(f"{call[0]} {1e3 * s:.3f}" for s, call in longest)
        if len(best_s):
            rows.append(_row(f"{name}: {stage}", len(best_s), size, best_s.sum(), copied, shown))
    return [*rows, _row(f"{name}: all", *total, copied, "")]


def _row(
    name: str, passes: float, size: float, seconds: float, copied: float, shown: str
) -> list[str]:
    at_copy_speed = f"{1e3 * size / copied:.2f}"
    return [
        name,
        f"{passes:.0f}",
        f"{size / 1e6:.1f}",
        f"{1e3 * seconds:.2f}",
        at_copy_speed,
        shown,
    ]


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=image_size, default="640x480", metavar="WIDTHxHEIGHT")
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    configure_process()
    cv2.setNumThreads(1)
    width, height = args.size
    engine = create_engine(load_weights(shipped_weights("compact")), device="cpu")
    copied = copy_bytes_a_second()
    rows = []
    for case in CASES:
        measured = MeasuredCase(case, engine, height, width)
        for _ in range(3):
            measured.take()
        rows += rows_of(measured, f"{case.thermal}, {case.registration}", args.runs, copied)
    note = f"Copying reads and writes {copied / 1e9:.0f} GB/s together on one core."
    return report(args.json, "Passes over pixels around the network", COLUMNS, rows, notes=[note])


if __name__ == "__main__":
    sys.exit(main())
