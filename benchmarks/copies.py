# SPDX-License-Identifier: Apache-2.0
"""Where the node copies the bytes of its frames, and how often, counted while it runs.

    python -m benchmarks.copies [--seconds 10] [--size 640x512]

A small library (`field/copies.c`, built with cc) stands before the C library's memcpy and memmove
in the node's process and counts what they move in pieces of 16 KB and more, by the library that
asks. The start of the process is taken off: two runs of different length are compared. Copies that
code makes in loops of its own (numpy, OpenCV, OpenVINO) are computation and are not seen.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks.field.listening import Field

SOURCE = Path(__file__).parent / "field" / "copies.c"
PRELOAD, FOLDER = "LD_PRELOAD", "FUSION_ROS_COPIES"


def main() -> int:
    """0 where the node ran; 1 where no compiler was found or nothing was counted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=5.0)
    parser.add_argument("--size", default="640x512", help="WIDTHxHEIGHT of both cameras")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "copies.so"
        built = [
            "cc",
            "-shared",
            "-fPIC",
            "-O1",
            "-o",
            str(library),
            str(SOURCE),
            "-ldl",
            "-lpthread",
        ]
        subprocess.run(built, check=True)
        few, few_pairs = counted(library, args, args.seconds / 4)
        many, many_pairs = counted(library, args, args.seconds)
    pairs = many_pairs - few_pairs
    if pairs <= 0 or not many:
        print("nothing was counted")
        return 1
    width, height = (int(n) for n in args.size.split("x"))
    print(f"{pairs} pairs; visible and fused have {width * height * 3} bytes, thermal two thirds")
    print(f"{'calls a pair':>12}{'bytes a call':>14}  asked for by")
    for (name, size), calls in sorted(many.items(), key=lambda item: (item[0][0], -item[0][1])):
        a_pair = (calls - few[name, size]) / pairs
        if a_pair > 0.2:
            print(f"{a_pair:>12.1f}{size:>14}  {name}")
    return 0


def counted(
    library: Path, args: argparse.Namespace, seconds: float
) -> tuple[Counter[tuple[str, int]], int]:
    """Calls by library and size in the node's process, and how many pairs it fused."""
    width, height = args.size.split("x")
    parameters = {"warm_up_width": int(width), "warm_up_height": int(height)}
    with tempfile.TemporaryDirectory() as folder:
        environment = {PRELOAD: str(library), FOLDER: folder}
        with Field(Path(folder), parameters, environment=environment) as field:
            field.run_cameras(
                seconds=seconds, rate_hz=args.rate, size=args.size, reliability="best_effort"
            )
            node, pairs = field.node.pid, int(field.listener.status.visible_fused)
        calls: Counter[tuple[str, int]] = Counter()
        for line in (Path(folder) / f"{node}.copies").read_text(encoding="utf-8").splitlines():
            number, size, name = line.split(" ", 2)
            calls[Path(name).name, int(size)] += int(number)
    return calls, pairs


if __name__ == "__main__":
    sys.exit(main())
