# SPDX-License-Identifier: Apache-2.0
"""Count the passes over pixels around the network, their bytes and their time.

    python -m benchmarks.passes [--size 640x480] [--runs 60] [--json FILE]

Every call of OpenCV between sensor and engine, and between engine and result, is recorded: bytes of
the arrays that it reads and writes, and its best time. `at copy speed` is the time of NumPy's
copy for the same bytes. A pass that takes much longer is limited by arithmetic, not by memory.
OpenCV runs on one thread, so that times and bytes are those of one core.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np

from benchmarks.report.tables import options, report
from benchmarks.report.timing import measure
from benchmarks.whole_path import Case, MeasuredCase
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
        if not callable(real) or isinstance(real, type):
            return real

        def call(*args: Any, **named: Any) -> Any:
            begun_s = time.perf_counter()
            result = real(*args, **named)
            took_s = time.perf_counter() - begun_s
            size = sum(x.nbytes for x in (*args, result) if isinstance(x, np.ndarray))
            self.calls.append((name, size, took_s))
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


def rows_of(measured: MeasuredCase, name: str, runs: int, copied: float) -> list[list[str]]:
    """Return a row for each stage of a case, and their sum; `copied` bytes a second."""
    frames: dict[str, list[list[tuple[str, int, float]]]] = {stage: [] for stage in STAGES}
    with recorders() as found:
        for _ in range(runs):
            measured.take()
            for stage, recorder in found.items():
                frames[stage].append(list(recorder.calls))
                recorder.calls.clear()
    rows, total = [], np.zeros(3)
    for stage, calls in frames.items():
        if not calls[0]:
            continue
        best_s = np.array([[s for *_, s in frame] for frame in calls]).min(axis=0)
        figures = len(best_s), sum(size for _, size, _ in calls[0]), best_s.sum()
        total += figures
        longest = sorted(zip(best_s, calls[0], strict=True), key=lambda c: -c[0])[:SHOWN]
        shown = ", ".join(f"{call[0]} {1e3 * s:.3f}" for s, call in longest)
        rows.append([f"{name}: {stage}", *_cells(*figures, copied), shown])
    return [*rows, [f"{name}: all", *_cells(*total, copied), ""]]


def _cells(passes: float, size: float, seconds: float, copied: float) -> list[str]:
    at_copy_speed = f"{1e3 * size / copied:.2f}"
    return [f"{passes:.0f}", f"{size / 1e6:.1f}", f"{1e3 * seconds:.2f}", at_copy_speed]


def main() -> int:
    """Run and print."""
    parser = options(__doc__, "640x480")
    parser.add_argument("--runs", type=int, default=60)
    args = parser.parse_args()
    configure_process()
    cv2.setNumThreads(1)
    width, height = args.size
    engine = create_engine(load_weights(shipped_weights("compact")), device="cpu")
    source = np.ones((480, 640, 3), np.uint8)
    target = np.empty_like(source)
    copying = measure({"": lambda: np.copyto(target, source)}, runs=200)[""]
    copied = 2 * source.nbytes / (copying.best_ms / 1e3)
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
