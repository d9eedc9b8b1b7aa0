# SPDX-License-Identifier: Apache-2.0
"""The whole path of a pair: raw bytes in, fused bytes out, and what each stage takes.

    python -m benchmarks.whole_path [--size 640x480] [--engine auto] [--precision auto]
                                    [--thermal uint8|uint16] [--registration resize|homography]

Also tells what a frame takes of memory in the steady state: pages from the kernel (there should be
none), and bytes from the heap. With a homography the thermal camera has half the size and sees a
part of the visible picture, so that there is a seam to blend.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.timing import HEADER, as_row, machine, report, summary
from benchmarks.weights import weights_for
from fusion_ros.engines.choice import create_engine
from fusion_ros.engines.parity import golden_pair
from fusion_ros.imaging.encodings import decode, encode
from fusion_ros.imaging.geometry import HomographyCalibration, Size
from fusion_ros.imaging.registration import RegistrationOptions, ThermalRegistration
from fusion_ros.pipeline import FusionPipeline

#: Of the whole, what may lie outside the network; and the whole itself, for 30 pictures a second.
MOST_OUTSIDE_PERCENT, MOST_MS = 15.0, 33.0
WARM_UP_FRAMES = 5


def registration_for(mode: str, height: int, width: int) -> tuple[ThermalRegistration, Size]:
    """A registration onto the visible grid, and the thermal camera's size with it."""
    if mode == "resize":
        return ThermalRegistration(), Size(width, height)
    thermal = Size(width // 2, height // 2)
    inside = np.array([[1.8, 0.02, 30], [-0.02, 1.8, 20], [1e-5, 1e-5, 1]])
    calibration = HomographyCalibration(inside, thermal, Size(width, height))
    return ThermalRegistration(RegistrationOptions(mode="homography"), calibration), thermal


def frame_maker(
    pipeline: FusionPipeline, colour: np.ndarray, counts: np.ndarray
) -> Callable[[], dict[str, float]]:
    """A call that takes one frame the whole path and tells what each stage took, in ms."""
    seen, felt = colour.tobytes(), counts.tobytes()
    (height, width), (rows, columns) = colour.shape[:2], counts.shape
    encoding = "mono16" if counts.dtype == np.uint16 else "mono8"
    stamps_ns = iter(range(0, 1 << 62, 33_333_333))

    def take() -> dict[str, float]:
        marks = [time.perf_counter_ns()]
        visible = decode(
            seen, encoding="rgb8", step=width * 3, height=height, width=width, is_bigendian=False
        )
        heat = decode(
            felt,
            encoding=encoding,
            step=columns * counts.itemsize,
            height=rows,
            width=columns,
            is_bigendian=False,
        )
        marks.append(time.perf_counter_ns())
        fused = pipeline.fuse(visible, heat, order="rgb", stamp_ns=next(stamps_ns))
        marks.append(time.perf_counter_ns())
        encode(fused.image, "rgb8")
        marks.append(time.perf_counter_ns())
        return {
            "decode": (marks[1] - marks[0]) / 1e6,
            **fused.timings_ms,
            "encode": (marks[3] - marks[2]) / 1e6,
            "whole": (marks[3] - marks[0]) / 1e6,
        }

    return take


def heap_bytes(take: Callable[[], object]) -> int:
    """The most that a frame holds at once of Python's and NumPy's memory, its answer included."""
    tracemalloc.start()
    try:
        take()
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        take()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="640x480")
    parser.add_argument("--preset", default="compact")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--thermal", default="uint8", choices=("uint8", "uint16"))
    parser.add_argument("--registration", default="resize", choices=("resize", "homography"))
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    width, height = (int(n) for n in args.size.split("x"))
    weights = weights_for(args.preset)
    engine = create_engine(weights, name=args.engine, precision=args.precision)
    registration, thermal_size = registration_for(args.registration, height, width)
    pipeline = FusionPipeline(engine, registration=registration)
    pipeline.warm_up(height, width)
    colour, _ = golden_pair(height, width, 3)
    _, thermal = golden_pair(thermal_size.height, thermal_size.width, 1)
    counts = thermal if args.thermal == "uint8" else thermal.astype(np.uint16) * 8 + 29_000
    take = frame_maker(pipeline, colour, counts)
    for _ in range(WARM_UP_FRAMES):
        take()
    stages: dict[str, list[float]] = {}
    faults: list[int] = []
    for _ in range(args.runs):
        faults_before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        timings = take()
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults_before)
        for name, value in timings.items():
            stages.setdefault(name, []).append(value)
    print(machine())
    running = engine.describe()
    print(
        f"{args.preset} {args.size} on {running.name} {running.device} in {running.precision}, "
        f"{args.thermal} thermal {thermal_size}, {args.registration}"
    )
    print(f"  {'ms':14s} {HEADER}")
    labels = {"size": args.size, "engine": running.name, "precision": running.precision}
    labels |= {"thermal": args.thermal, "registration": args.registration}
    rows = []
    for name, values in stages.items():
        sample = summary(values)
        print(f"  {name:14s} {sample}")
        rows.append(as_row(sample, stage=name, **labels))
    outside = [w - i for w, i in zip(stages["whole"], stages["infer"], strict=True)]
    whole_ms, outside_ms = statistics.median(stages["whole"]), statistics.median(outside)
    percent, page_faults = 100 * outside_ms / whole_ms, statistics.median(faults)
    held = heap_bytes(take)
    print(
        f"  outside the network: {outside_ms:.2f} ms, {percent:.1f} % "
        f"(bar {MOST_OUTSIDE_PERCENT:.0f} %)"
    )
    print(f"  {1e3 / whole_ms:.1f} pictures a second; {whole_ms:.1f} ms (bar {MOST_MS:.0f} ms)")
    print(
        f"  a frame takes {page_faults:.0f} pages from the kernel (median), and of the heap "
        f"{held / 1024:.0f} KiB; the picture itself is {colour.nbytes / 1024:.0f} KiB"
    )
    share = {"outside_percent": percent, "page_faults": page_faults, "heap_bytes": held}
    rows.append({"stage": "share outside the network, memory", **labels, **share})
    report(args.json, "whole path", rows)


if __name__ == "__main__":
    main()
