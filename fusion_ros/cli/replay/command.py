# SPDX-License-Identifier: Apache-2.0
"""`fusion-ros replay`: recordings in, a report and a verdict out."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fusion_ros.cli.argument_types import merged_classes, number, result_folder, whole_number
from fusion_ros.cli.matching_options import add_by_order

_EXAMPLES = """\
examples:
  fusion-ros replay drive.mcap --out report
  fusion-ros replay drive.mcap --out report --gate gate.yaml       a verdict for a script or CI
  fusion-ros replay clips/drive --set tone_mode=histogram --out other --compare report
  fusion-ros replay day/*.mcap --out reports --jobs 4
  fusion-ros replay drive.mcap --out live --live                   through DDS, in time

Exit codes: 0 passed, or no gate and everything was read; 1 the gate failed, which it also does
when part of a recording could not be read (damaged_file, missing_messages, ...) and its "expect"
does not allow that; 2 could not run, no pair could be read, or without a gate: part of a recording
could not be read; 130 stopped by Ctrl-C.
"""


def add_parser(subparsers: Any) -> None:
    """Add `replay` to the sub-commands of `fusion-ros`."""
    parser = subparsers.add_parser(
        "replay",
        help="replay recordings through pairer and pipeline; report, figures, verdict",
        description="Replays bags (ROS 2 mcap and sqlite3, ROS 1), folders that hold vis/ and ir/, "
        "or NAME_vis.mp4 beside NAME_ir.mp4, and writes report.html, summary.json, frames.csv and "
        "pairs.csv.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("recordings", type=Path, nargs="+", metavar="RECORDING")
    parser.add_argument("--out", type=result_folder, default=Path("replay"), help="folder (replay)")
    parser.add_argument("--thermal", type=Path, help="thermal half of a single folder or video")
    parser.add_argument(
        "--picture-rate",
        type=number(0, above=True),
        metavar="HZ",
        help="frames a second of pictures whose names tell no time (30), and of videos that name "
        "none",
    )
    add_by_order(parser)
    parser.add_argument("--visible-topic", help="default: chosen by type and name")
    parser.add_argument("--thermal-topic", help="default: chosen by type and name")
    _add_fusion(parser.add_argument_group("fusion, as the node's parameters"))
    _add_measures(parser.add_argument_group("what is measured"))
    _add_verdict(parser.add_argument_group("verdict"))
    _add_outputs(parser.add_argument_group("further outputs"))
    _add_detector(parser.add_argument_group("a detector on visible, thermal and fused"))
    _add_scale(parser.add_argument_group("many recordings"))
    _add_live(parser.add_argument_group("live: through DDS into the fuse node, in time"))
    parser.set_defaults(run=run)


def _add_fusion(group: Any) -> None:
    group.add_argument(
        "--params", type=Path, help="parameter file of the fuse node, as config/fuse.yaml"
    )
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="one parameter of the fuse node; repeatable, wins over --params",
    )
    group.add_argument("--preset", help="shipped weights (compact)")
    group.add_argument("--weights", type=Path, help="a safetensors file in place of them")
    group.add_argument("--engine", help="auto takes the first that is installed, without timing")
    group.add_argument("--device", help="auto, cpu, cuda")
    group.add_argument("--tolerance-ms", type=float, help="pairing_tolerance_ms")
    group.add_argument("--thermal-offset-ms", type=float, help="thermal_offset_ms")
    group.add_argument("--stamp-source", choices=("header", "arrival"), help="stamp_source")


def _add_measures(group: Any) -> None:
    group.add_argument(
        "--every",
        type=whole_number(0),
        default=0,
        metavar="N",
        help="measure every N-th frame (0: chosen by the recording's length)",
    )
    group.add_argument(
        "--measures", default="quick", help="quick, all, none or names: qw,qe,SSIM (quick)"
    )
    group.add_argument(
        "--baselines", default="default", help="default, none, or names with commas between"
    )
    group.add_argument("--max-messages", type=whole_number(1), help="stop after so many messages")


def _add_verdict(group: Any) -> None:
    group.add_argument(
        "--gate", type=Path, help="YAML of thresholds; see docs/how-to/evaluate-a-recording.md"
    )
    group.add_argument(
        "--compare", type=Path, metavar="OTHER", help="--out folder of an earlier run: compare"
    )


def _add_outputs(group: Any) -> None:
    group.add_argument("--fused-bag", action="store_true", help="write the fused pictures as a bag")
    group.add_argument("--fused-video", action="store_true", help="write them as an mp4")
    group.add_argument("--no-report", action="store_true", help="figures only")


def _add_detector(group: Any) -> None:
    group.add_argument(
        "--detector", type=Path, metavar="MODEL.onnx", help="see docs/how-to/feed-a-detector.md"
    )
    group.add_argument(
        "--detector-layout",
        default="auto",
        help="auto (by the outputs' shapes) or a layout of docs/how-to/feed-a-detector.md",
    )
    group.add_argument("--classes", type=Path, help="class names, one a line, if not in the model")
    group.add_argument("--labels", type=Path, help="COCO json or a folder of YOLO txt, for AP")
    group.add_argument(
        "--confidence",
        type=number(0, 1),
        default=0.25,
        help="least score of a box that is counted and shown (0.25); AP is over all boxes",
    )
    group.add_argument(
        "--merge-classes",
        type=merged_classes,
        action="append",
        default=[],
        metavar="NAME=CLASS,CLASS",
        help="count classes as one, as vehicle=car,bus,truck; repeatable",
    )


def _add_scale(group: Any) -> None:
    group.add_argument("--jobs", type=whole_number(1), default=1, help="recordings at a time (1)")
    group.add_argument("--ray", metavar="ADDRESS", help="run on Ray: an address, auto or local")


def _add_live(group: Any) -> None:
    group.add_argument(
        "--live",
        action="store_true",
        help="play one recording to a fuse node of its own and measure ages, lost frames and the "
        "highest rate that is kept up; writes live.html, live.json and live_frames.csv",
    )
    group.add_argument(
        "--rate", type=float, metavar="X", help="with --live: times the recorded rate (1.0)"
    )
    group.add_argument(
        "--search-s",
        type=float,
        metavar="SECONDS",
        help="with --live: how long each rate is tried (6); 0 does not look for the highest",
    )


def run(args: argparse.Namespace) -> int:
    """Replay, and return the exit code.

    Raises:
        Exception: something cannot be read, run or written.
    """
    # As Ctrl-C, so that a stopped service leaves whole results and nothing unfinished.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return _run(args)
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(args: argparse.Namespace) -> int:
    if args.live:
        from fusion_ros.cli.replay.live import run_live

        return run_live(args)
    for option in ("rate", "search_s"):
        if getattr(args, option) is not None:
            name = option.replace("_", "-")
            raise ValueError(f"--{name} goes with --live; see --picture-rate for folders")
    from fusion_ros.cli.replay.run import run_offline

    return run_offline(args)


def main(arguments: Sequence[str] | None = None) -> int:
    """`ros2 run fusion_ros replay`: as `fusion-ros replay`."""
    from fusion_ros.cli import main as command_line

    rest = sys.argv[1:] if arguments is None else list(arguments)
    return command_line.main(["replay", *rest])
