# SPDX-License-Identifier: Apache-2.0
"""Time the whole path of a pair by stage, from raw bytes to fused bytes.

    python -m benchmarks.whole_path [--size 640x480] [--engine auto] [--runs 120] [--json FILE]
    python -m benchmarks.whole_path --preset compact --thermal uint16 --registration homography

Without an option that selects a case, all `CASES` run in turn in one process. Also measures the
memory of a frame in the steady state: pages from the kernel (expected: none) and bytes of the heap.
With a homography the thermal camera has half the size and covers a part of the visible image, so
the seam is blended. As in the node, the tone curve learns after the image is published: `learn` is
not part of `whole`.
"""

from __future__ import annotations

import argparse
import dataclasses
import resource
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.report.tables import Target, cell, report
from benchmarks.report.timing import summary
from fusion_ros.cli.argument_types import image_size
from fusion_ros.engines.choice import create_engine
from fusion_ros.engines.engine import Engine
from fusion_ros.engines.parity import golden_pair
from fusion_ros.engines.process import configure_process
from fusion_ros.imaging.encodings import decode_frame, encode
from fusion_ros.model.config import PRESETS
from fusion_ros.model.weights import load_weights, shipped_weights
from fusion_ros.pipeline import FusionPipeline
from fusion_ros.registration.geometry import HomographyCalibration, Size
from fusion_ros.registration.options import RegistrationOptions
from fusion_ros.registration.warp import ThermalRegistration

COLUMNS = ["", "thermal", "registration", "infer (best)", "whole (best)"]
COLUMNS += ["outside the network", "page faults a frame", "heap a frame, KiB"]
WARM_UP_FRAMES = 5
#: The whole path of `compact` at 640x480, bytes to bytes: 30 images a second.
MOST_WHOLE_PATH_MS = 33.0
#: Largest share of the whole path outside the network, for 8-bit images without warping.
MOST_OUTSIDE_PERCENT = 15.0


@dataclasses.dataclass(frozen=True)
class Case:
    """Network, precision, thermal type and registration of a measurement."""

    preset: str = "compact"
    precision: str = "auto"
    thermal: str = "uint8"
    registration: str = "resize"


CASES = (
    Case(),
    Case(thermal="uint16"),
    Case(registration="homography"),
    Case(thermal="uint16", registration="homography"),
    Case(precision="float32"),
    Case(precision="int8"),
    Case(preset="paper"),
)


def registration_for(mode: str, height: int, width: int) -> tuple[ThermalRegistration, Size]:
    """Return a registration onto the visible grid, and the thermal camera's size."""
    if mode == "resize":
        return ThermalRegistration(), Size(width, height)
    thermal = Size(width // 2, height // 2)
    inside = np.array([[1.8, 0.02, 30], [-0.02, 1.8, 20], [1e-5, 1e-5, 1]])
    calibration = HomographyCalibration(inside, thermal, Size(width, height))
    return ThermalRegistration(RegistrationOptions(mode="homography"), calibration), thermal


def frame_maker(
    pipeline: FusionPipeline, colour: np.ndarray, counts: np.ndarray
) -> Callable[[], dict[str, float]]:
    """Return a function that processes one frame and returns the ms of each stage."""
    seen, felt = colour.tobytes(), counts.tobytes()
    (height, width), (rows, columns) = colour.shape[:2], counts.shape
    encoding = "mono16" if counts.dtype == np.uint16 else "mono8"
    stamps_ns = iter(range(0, 1 << 62, 33_333_333))

    def take() -> dict[str, float]:
        marks = [time.perf_counter_ns()]
        visible = decode_frame(
            seen, encoding="rgb8", step=width * 3, height=height, width=width, is_bigendian=False
        ).as_rgb()
        heat = decode_frame(
            felt,
            encoding=encoding,
            step=columns * counts.itemsize,
            height=rows,
            width=columns,
            is_bigendian=False,
        ).as_rgb()
        marks.append(time.perf_counter_ns())
        fused = pipeline.fuse(
            visible, heat, order="rgb", stamp_ns=next(stamps_ns), learn_later=True
        )
        marks.append(time.perf_counter_ns())
        encode(fused.image, "rgb8")
        marks.append(time.perf_counter_ns())
        pipeline.learn()
        return {
            "decode": (marks[1] - marks[0]) / 1e6,
            **fused.timings_ms,
            "encode": (marks[3] - marks[2]) / 1e6,
            "whole": (marks[3] - marks[0]) / 1e6,
            "learn": (time.perf_counter_ns() - marks[3]) / 1e6,
        }

    return take


def heap_bytes(take: Callable[[], object]) -> int:
    """Return the peak memory of Python and NumPy for a frame, including the result."""
    tracemalloc.start()
    try:
        take()
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        take()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


class MeasuredCase:
    """A pipeline, the images of its case, and the measurements so far."""

    def __init__(self, case: Case, engine: Engine, height: int, width: int) -> None:
        self.case = case
        self.engine = engine.describe()
        registration, thermal_size = registration_for(case.registration, height, width)
        pipeline = FusionPipeline(engine, registration=registration)
        pipeline.warm_up(height, width)
        colour, _ = golden_pair(height, width, 3)
        _, thermal = golden_pair(thermal_size.height, thermal_size.width, 1)
        counts = thermal if case.thermal == "uint8" else thermal.astype(np.uint16) * 8 + 29_000
        self.take = frame_maker(pipeline, colour, counts)
        self.stages: dict[str, list[float]] = {}
        self.faults: list[int] = []

    def run(self) -> None:
        """Time one frame after an untimed one (see `benchmarks.report.timing`)."""
        self.take()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        timings = self.take()
        self.faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
        for name, value in timings.items():
            self.stages.setdefault(name, []).append(value)

    def row(self, size: str) -> tuple[list[str], list[Target]]:
        """Return the cells of the table, and the targets of this case."""
        infer, whole = (summary(self.stages[name]) for name in ("infer", "whole"))
        outside_ms = statistics.median(
            w - i for w, i in zip(self.stages["whole"], self.stages["infer"], strict=True)
        )
        percent = 100 * outside_ms / whole.median_ms
        case = self.case
        name = f"`{case.preset}`, {self.engine.name} {self.engine.precision}, {size}"
        cells = [
            name,
            case.thermal,
            case.registration,
            cell(infer),
            cell(whole),
            f"{outside_ms:.2f} ms, {percent:.0f} %",
            f"{statistics.median(self.faults):.0f}",
            f"{heap_bytes(self.take) >> 10}",
        ]
        targets = [
            Target(
                f"{name}: the whole path in at most {MOST_WHOLE_PATH_MS:.0f} ms",
                f"{whole.median_ms:.2f} ms",
                whole.median_ms <= MOST_WHOLE_PATH_MS,
            ),
            Target(
                f"{name}: at most {MOST_OUTSIDE_PERCENT:.0f} % of it outside the network",
                f"{percent:.1f} %",
                percent <= MOST_OUTSIDE_PERCENT,
            ),
        ]
        has_targets = (case.preset, case.thermal, case.registration) == (
            "compact",
            "uint8",
            "resize",
        )
        return cells, targets if has_targets else []


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=image_size, default="640x480", metavar="WIDTHxHEIGHT")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--preset", choices=PRESETS)
    parser.add_argument("--precision")
    parser.add_argument("--thermal", choices=("uint8", "uint16"))
    parser.add_argument("--registration", choices=("resize", "homography"))
    parser.add_argument("--runs", type=int, default=120)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    configure_process()
    width, height = args.size
    size = f"{width}x{height}"
    named = {f.name: getattr(args, f.name) for f in dataclasses.fields(Case)}
    named = {name: value for name, value in named.items() if value is not None}
    cases = (Case(**named),) if named else CASES
    engines = {
        (case.preset, case.precision): create_engine(
            load_weights(shipped_weights(case.preset)), name=args.engine, precision=case.precision
        )
        for case in cases
    }
    running = [
        MeasuredCase(case, engines[case.preset, case.precision], height, width) for case in cases
    ]
    for measured in running:
        for _ in range(WARM_UP_FRAMES):
            measured.take()
    for turn in range(args.runs):
        for measured in running:
            # A fifth of the runs suffices for `paper`, which takes ten times as long.
            if measured.case.preset == "compact" or turn < args.runs // 5:
                measured.run()
    found = [measured.row(size) for measured in running]
    for measured in running:
        print(measured.case)
        print({name: round(summary(v).median_ms, 3) for name, v in measured.stages.items()})
    return report(
        args.json,
        "Whole path, bytes in to bytes out",
        COLUMNS,
        [cells for cells, _ in found],
        targets=[target for _, targets in found for target in targets],
    )


if __name__ == "__main__":
    sys.exit(main())
