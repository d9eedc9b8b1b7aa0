# SPDX-License-Identifier: Apache-2.0
"""Time the first pair of a size in a new process, with an empty and a filled engine cache.

    python -m benchmarks.first_frame [--sizes 640x480 ...] [--runs 3] [--json FILE]

Each figure comes from a new process, without the import of PyTorch and reading of weights.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.timing import machine, report
from fusion_ros.cli.argument_types import image_size
from fusion_ros.engines.choice import probe_engines
from fusion_ros.engines.process import configure_process

WAYS = ("nothing kept", "kept on disk")


def measure_here(engine_name: str, width: int, height: int) -> dict[str, float]:
    """Time creation of the engine, its first pair, and a later one in this process, in ms."""
    from fusion_ros.engines.choice import create_engine
    from fusion_ros.engines.parity import golden_pair
    from fusion_ros.model.weights import load_weights, shipped_weights

    weights = load_weights(shipped_weights("compact"))
    pair = golden_pair(height, width, 1)
    marks = [time.perf_counter()]
    engine = create_engine(weights, name=engine_name, device="cpu")
    marks.append(time.perf_counter())
    engine.infer(*pair)
    marks.append(time.perf_counter())
    for _ in range(4):
        begun = time.perf_counter()
        engine.infer(*pair)
    made, first, later = marks[1] - marks[0], marks[2] - marks[1], time.perf_counter() - begun
    return {"made_ms": made * 1e3, "first_ms": first * 1e3, "later_ms": later * 1e3}


def measure_there(engine_name: str, width: int, height: int, folder: str) -> dict[str, float]:
    """Run `measure_here` in a new process with the engine cache `folder`."""
    size = f"{width}x{height}"
    command = [sys.executable, "-m", "benchmarks.first_frame", "--here", engine_name]
    environment = {**os.environ, "FUSION_ROS_CACHE": folder}
    answer = subprocess.run(
        [*command, "--sizes", size], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(answer.stdout.splitlines()[-1])


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--sizes",
        nargs="+",
        type=image_size,
        default=[(640, 480), (1280, 1024)],
        metavar="WIDTHxHEIGHT",
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--here", metavar="ENGINE", help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    configure_process()
    if args.here:
        print(json.dumps(measure_here(args.here, *args.sizes[0])))
        return
    print(machine())
    print(f"{'ms, median of ' + str(args.runs):45s} engine made   first pair   a later pair")
    rows = []
    names = [probe.name for probe in probe_engines() if probe.available and probe.device == "cpu"]
    for name in [*names, "auto"]:
        for width, height in args.sizes:
            size = f"{width}x{height}"
            found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
            for _ in range(args.runs):
                with tempfile.TemporaryDirectory() as folder:
                    for way in WAYS:
                        found[way].append(measure_there(name, width, height, folder))
            for way, times in found.items():
                median = {k: statistics.median(t[k] for t in times) for k in times[0]}
                figures = " ".join(f"{median[k]:12.1f}" for k in median)
                print(f"  {name:9s} {size:10s} {way:20s} {figures}")
                rows.append({"engine": name, "size": size, "cache": way, **median})
    report(args.json, "first frame", rows)


if __name__ == "__main__":
    main()
