# SPDX-License-Identifier: Apache-2.0
"""`fusion-ros replay`: evaluate recordings; report, figures and verdict."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fusion_ros.cli.argument_types import merged_classes, number, result_folder, whole_number
from fusion_ros.cli.processes import sigterm_as_ctrl_c
from fusion_ros.cli.shared_options import (
    add_by_order,
    add_engine,
    add_parameters,
    add_topics,
    add_weights,
)

_EXAMPLES = """\
examples:
  fusion-ros replay drive.mcap --out report
  fusion-ros replay drive.mcap --out report --gate gate.yaml       pass or fail, for CI
  fusion-ros replay clips/drive --set tone_mode=histogram --out other --compare report
  fusion-ros replay day/*.mcap --out reports --jobs 4
  fusion-ros replay drive.mcap --out live --live                   through DDS, in real time

Exit codes:
    0  every check of the gate passed; without a gate: the whole recording was read
    1  the gate failed. It also fails if part of a recording could not be read (damaged_file,
       missing_messages, ...) and its "expect" does not name that finding
    2  could not run; no pair could be read; or, without a gate, part of a recording was not read
  130  stopped by Ctrl-C
"""


def add_parser(subparsers: Any) -> None:
    """Add `replay` to the sub-commands of `fusion-ros`."""
    parser = subparsers.add_parser(
        "replay",
        help="evaluate recordings: report, figures and verdict",
        description="Sends recordings through the pairing and the fusion of the node, and writes "
        "report.html, summary.json, frames.csv and pairs.csv.",
        epilog=_EXAMPLES,
    )
    parser.add_argument(
        "recordings", type=Path, nargs="+", metavar="RECORDING",
        help="bag (ROS 2 mcap or sqlite3, ROS 1), folder that holds vis/ and ir/, or visible video "
        "NAME_vis.mp4 (NAME_ir.mp4 beside it is found)",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=result_folder, default=Path("replay"), metavar="DIR",
        help="folder for the results; of several recordings, a folder for each is created in it "
        "(default: replay)",
    )  # fmt: skip
    parser.add_argument(
        "--thermal", type=Path, metavar="PATH",
        help="thermal folder or video, if RECORDING is the visible one",
    )  # fmt: skip
    parser.add_argument(
        "--picture-rate", type=number(0, above=True), metavar="HZ",
        help="frames per second of images without a time in their names (default: 30), and of "
        "videos that do not state their rate",
    )  # fmt: skip
    add_by_order(parser)
    add_topics(parser)
    _add_fusion(parser.add_argument_group("fusion, as parameters of the fuse node"))
    _add_measures(parser.add_argument_group("measurement"))
    _add_verdict(parser.add_argument_group("verdict"))
    _add_outputs(parser.add_argument_group("outputs"))
    _add_detector(parser.add_argument_group("object detection in visible, thermal and fused"))
    _add_scale(parser.add_argument_group("many recordings"))
    _add_live(parser.add_argument_group("live: through DDS into a fuse node, in real time"))
    parser.set_defaults(run=run)


def _add_fusion(group: Any) -> None:
    add_parameters(group)
    add_weights(group)
    add_engine(group)
    group.add_argument(
        "--tolerance-ms", type=number(0), metavar="MS",
        help="largest time difference of a pair, in milliseconds: pairing_tolerance_ms",
    )  # fmt: skip
    group.add_argument(
        "--thermal-offset-ms", type=float, metavar="MS",
        help="constant added to thermal stamps, in milliseconds: thermal_offset_ms",
    )  # fmt: skip
    group.add_argument(
        "--stamp-source", choices=("header", "arrival"),
        help="time by which frames are paired: the stamp in the header, or the arrival in the "
        "recording: stamp_source",
    )  # fmt: skip


def _add_measures(group: Any) -> None:
    group.add_argument(
        "--every", type=whole_number(0), default=0, metavar="N",
        help="measure the quality of every N-th pair (default: 0, chosen by the length of the "
        "recording)",
    )  # fmt: skip
    group.add_argument(
        "--measures", default="quick", metavar="NAMES",
        help="quality measures: quick, all, none, or names separated by commas, such as qw,qe,SSIM "
        "(default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--baselines", default="default", metavar="NAMES",
        help="classical fusion methods to compare with: default, none, or names separated by "
        "commas (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--max-messages", type=whole_number(1), metavar="N",
        help="stop after N messages (default: read the whole recording)",
    )  # fmt: skip


def _add_verdict(group: Any) -> None:
    group.add_argument(
        "--gate", type=Path, metavar="FILE",
        help="YAML file of limits that decide the exit code (docs/how-to/evaluate-a-recording.md)",
    )  # fmt: skip
    group.add_argument(
        "--compare", type=Path, metavar="DIR",
        help="--out folder of an earlier replay to compare with",
    )  # fmt: skip


def _add_outputs(group: Any) -> None:
    group.add_argument(
        "--fused-bag", action="store_true", help="also write the fused images as a bag"
    )
    group.add_argument(
        "--fused-video", action="store_true", help="also write the fused images as fused.mp4"
    )
    group.add_argument(
        "--rerun", type=Path, metavar="FILE.rrd",
        help="also write images, boxes, skews and fates for the Rerun viewer (needs rerun-sdk)",
    )  # fmt: skip
    group.add_argument(
        "--no-report", action="store_true", help="write the figures only, no report.html"
    )


def _add_detector(group: Any) -> None:
    group.add_argument(
        "--detector", type=Path, metavar="MODEL.onnx",
        help="detector to run on each image (docs/how-to/feed-a-detector.md)",
    )  # fmt: skip
    group.add_argument(
        "--detector-layout", default="auto", metavar="NAME",
        help="output layout of the detector: auto (by the shapes of its outputs) or a name of "
        "docs/how-to/feed-a-detector.md (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--classes", type=Path, metavar="FILE",
        help="class names, one per line (default: those stored in the model)",
    )  # fmt: skip
    group.add_argument(
        "--labels", type=Path, metavar="PATH",
        help="labels for average precision: a COCO .json file or a folder of YOLO .txt files",
    )  # fmt: skip
    group.add_argument(
        "--confidence", type=number(0, 1), default=0.25, metavar="SCORE",
        help="lowest score, 0 to 1, of a box that is counted and shown; average precision uses "
        "all boxes (default: %(default)g)",
    )  # fmt: skip
    group.add_argument(
        "--merge-classes", type=merged_classes, action="append", default=[],
        metavar="NAME=CLASS,CLASS",
        help="count several classes as one, such as vehicle=car,bus,truck; repeatable",
    )  # fmt: skip


def _add_scale(group: Any) -> None:
    group.add_argument(
        "--jobs", type=whole_number(1), default=1, metavar="N",
        help="number of recordings that are replayed at the same time (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--ray", metavar="ADDRESS",
        help="replay on a Ray cluster: its address, auto, or local",
    )  # fmt: skip


def _add_live(group: Any) -> None:
    group.add_argument(
        "--live", action="store_true",
        help="start a fuse node, play one recording to it and measure ages, lost frames and the "
        "highest sustained rate; writes live.html, live.json and live_frames.csv",
    )  # fmt: skip
    group.add_argument(
        "--rate", type=number(0.01, 100), metavar="FACTOR",
        help="speed as a multiple of the recorded rate, 0.01 to 100; 2 is twice as fast (default: "
        "1)",
    )  # fmt: skip
    group.add_argument(
        "--search-s", type=number(0), metavar="SECONDS",
        help="time for which each rate of the search for the highest rate is played; 0: no search "
        "(default: 6)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Replay, and return the exit code."""
    with sigterm_as_ctrl_c():
        if args.live:
            from fusion_ros.cli.replay.live import run_live

            return run_live(args)
        for name, value in (("--rate", args.rate), ("--search-s", args.search_s)):
            if value is not None:
                raise ValueError(
                    f"{name} needs --live; --picture-rate sets the rate of image folders"
                )
        from fusion_ros.cli.replay.run import run_offline

        return run_offline(args)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `fusion-ros replay` as `ros2 run fusion_ros replay`."""
    from fusion_ros.cli import main as command_line

    rest = sys.argv[1:] if arguments is None else list(arguments)
    return command_line.main(["replay", *rest])
