# SPDX-License-Identifier: Apache-2.0
"""The whole path of a pair: raw bytes in, fused bytes out, and what each stage takes.

    python -m benchmarks.whole_path [--size 640x480] [--engine auto] [--thermal uint8|uint16]

Also counts the page faults of a frame: in the steady state nothing should be taken from the kernel.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from pathlib import Path

import numpy as np

from benchmarks.engines import weights_for
from benchmarks.timing import HEADER, as_row, machine, report, summary
from fusion_ros.engines.choice import create_engine
from fusion_ros.engines.parity import golden_pair
from fusion_ros.imaging.encodings import decode, encode
from fusion_ros.pipeline import FusionPipeline

#: Of the whole, what may lie outside the network; and the whole itself, for 30 pictures a second.
MOST_OUTSIDE_PERCENT, MOST_MS = 15.0, 33.0


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="640x480")
    parser.add_argument("--preset", default="compact")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--thermal", default="uint8", choices=("uint8", "uint16"))
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    width, height = (int(n) for n in args.size.split("x"))
    engine = create_engine(weights_for(args.preset), name=args.engine)
    pipeline = FusionPipeline(engine)
    pipeline.warm_up(height, width)
    colour, thermal = golden_pair(height, width, 3)
    mono16 = args.thermal == "uint16"
    counts = thermal.astype(np.uint16) * 8 + 29_000 if mono16 else thermal
    seen, felt = colour.tobytes(), counts.tobytes()
    stages: dict[str, list[float]] = {}
    faults: list[int] = []
    for index in range(args.runs + 5):
        faults_before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        marks = [time.perf_counter_ns()]
        frame = {"height": height, "width": width, "is_bigendian": False}
        visible = decode(seen, encoding="rgb8", step=width * 3, **frame)
        heat = decode(
            felt, encoding="mono16" if mono16 else "mono8", step=width * (1 + mono16), **frame
        )
        marks.append(time.perf_counter_ns())
        fused = pipeline.fuse(visible, heat, order="rgb", stamp_ns=index * 33_333_333)
        marks.append(time.perf_counter_ns())
        encode(fused.image, "rgb8")
        marks.append(time.perf_counter_ns())
        if index < 5:
            continue
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults_before)
        timings = {
            "decode": (marks[1] - marks[0]) / 1e6,
            **fused.timings_ms,
            "encode": (marks[3] - marks[2]) / 1e6,
            "whole": (marks[3] - marks[0]) / 1e6,
        }
        for name, value in timings.items():
            stages.setdefault(name, []).append(value)
    print(machine())
    description = engine.describe()
    print(f"{args.preset} {args.size} on {description.name} {description.device}")
    print(f"  {'ms':14s} {HEADER}")
    rows = []
    for name, values in stages.items():
        sample = summary(values)
        print(f"  {name:14s} {sample}")
        rows.append(as_row(sample, stage=name, size=args.size, engine=description.name))
    outside = [w - i for w, i in zip(stages["whole"], stages["infer"], strict=True)]
    whole_ms = statistics.median(stages["whole"])
    percent = 100 * statistics.median(outside) / whole_ms
    print(f"  outside the network: {percent:.1f} % (bar {MOST_OUTSIDE_PERCENT:.0f} %)")
    print(f"  {1e3 / whole_ms:.1f} pictures a second; {whole_ms:.1f} ms (bar {MOST_MS:.0f} ms)")
    print(f"  page faults a frame: median {statistics.median(faults):.0f}")
    report(args.json, "whole path", rows)


if __name__ == "__main__":
    main()
