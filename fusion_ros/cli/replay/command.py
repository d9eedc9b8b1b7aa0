# SPDX-License-Identifier: Apache-2.0
"""`fusion-ros replay`: evaluate recordings; report, figures and verdict."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fusion_ros.cli.argument_types import merged_classes, number, result_folder, whole_number
from fusion_ros.cli.options import (
    ENGINE,
    MATCHING,
    PARAMETERS,
    TOPICS,
    add_options,
    add_weights,
    opt,
)
from fusion_ros.cli.processes import sigterm_as_ctrl_c

_EXAMPLES = """\
examples:
  fusion-ros replay drive.mcap --out report
  fusion-ros replay drive.mcap --out report --gate gate.yaml       pass or fail, for CI
  fusion-ros replay clips/drive --set tone_mode=percentile --out other --compare report
  fusion-ros replay day/*.mcap --out reports --jobs 4
  fusion-ros replay drive.mcap --out live --live                   through DDS, in real time

Exit codes:
    0  every check of the gate passed; without a gate: the whole recording was read
    1  the gate failed. It also fails if part of a recording could not be read (damaged_file,
       missing_messages, ...) and its "expect" does not name that finding
    2  could not run; no pair could be read; or, without a gate, part of a recording was not read
  130  stopped by Ctrl-C
"""


# fmt: off
_INPUT = (
    opt("recordings RECORDING", "bag (ROS 2 mcap or sqlite3, ROS 1), folder of both cameras, or "
        "visible folder or video", type=Path, nargs="*"),
    opt("--thermal PATH", "thermal folder or video, if RECORDING is the visible one"),
    opt("--out DIR", "folder for the results; of several recordings, a folder for each is created "
        "in it (default: replay)", type=result_folder, default=Path("replay")),
)
_FUSION = (
    opt("--tolerance-ms MS", "largest time difference of a pair, in milliseconds: "
        "pairing_tolerance_ms", type=number(0)),
    opt("--thermal-offset-ms MS", "constant added to thermal stamps, in milliseconds: "
        "thermal_offset_ms", type=float),
    opt("--stamp-source NAME", "time by which frames are paired: header, the stamp in it, or "
        "arrival, that in the recording: stamp_source", choices=("header", "arrival")),
)
_MEASURES = (
    opt("--every N", "measure the quality of every N-th pair (default: 0, chosen by the length of "
        "the recording)", type=whole_number(0), default=0),
    opt("--measures NAMES", "quality measures: quick, all, none, or names separated by commas, "
        "such as qw,qe,SSIM (default: %(default)s)", default="quick"),
    opt("--baselines NAMES", "classical fusion methods to compare with: default, none, or names "
        "separated by commas (default: %(default)s)", default="default"),
    opt("--max-messages N", "stop after N messages (default: read the whole recording)",
        type=whole_number(1)),
)
_VERDICT = (
    opt("--gate FILE", "YAML file of limits that decide the exit code "
        "(docs/how-to/evaluate-a-recording.md)"),
    opt("--compare DIR", "--out folder of an earlier replay to compare with"),
)
_OUTPUTS = (
    opt("--fused-bag", "also write the fused images as a bag"),
    opt("--fused-video", "also write the fused images as fused.mp4"),
    opt("--rerun FILE.rrd", "also write images, boxes, spots, skews and fates for the Rerun viewer "
        "(needs rerun-sdk)", type=Path),
    opt("--no-report", "write the figures only, no report.html"),
)
_DETECTOR = (
    opt("--detector FILE", "detector (ONNX) to run on each image (docs/how-to/feed-a-detector.md)"),
    opt("--detector-layout NAME", "output layout of the detector: auto (by the shapes of its "
        "outputs) or a name of docs/how-to/feed-a-detector.md (default: %(default)s)",
        default="auto"),
    opt("--classes FILE", "class names, one per line (default: those stored in the model)"),
    opt("--labels PATH", "labels for average precision: a COCO .json file or a folder of YOLO .txt "
        "files"),
    opt("--confidence SCORE", "lowest score, 0 to 1, of a box that is counted and shown; average "
        "precision uses all boxes (default: %(default)g)", type=number(0, 1), default=0.25),
    opt("--merge-classes NAME=CLASS,CLASS", "count several classes as one, such as "
        "vehicle=car,bus,truck; repeatable", type=merged_classes, action="append", default=[]),
)
_SCALE = (
    opt("--jobs N", "number of recordings that are replayed at the same time (default: "
        "%(default)s)", type=whole_number(1), default=1),
)
_LIVE = (
    opt("--live", "start a fuse node, play one recording to it and measure ages, lost frames and "
        "the highest sustained rate; writes live.html, live.json and live_frames.csv"),
    opt("--rate FACTOR", "speed as a multiple of the recorded rate, 0.01 to 100; 2 is twice as "
        "fast (default: 1)", type=number(0.01, 100)),
    opt("--search-s SECONDS", "time for which each rate of the search for the highest rate is "
        "played; 0: no search (default: 6)", type=number(0)),
)
_GROUPS = {
    "how files are paired": MATCHING,
    "topics of a bag": TOPICS,
    "fusion, as parameters of the fuse node": PARAMETERS + _FUSION,
    "measurement": _MEASURES,
    "verdict": _VERDICT,
    "outputs": _OUTPUTS,
    "object detection in visible, thermal and fused": _DETECTOR,
    "many recordings": _SCALE,
    "live: through DDS into a fuse node, in real time": _LIVE,
}
# fmt: on


def add_parser(subparsers: Any) -> None:
    """Add `replay` to the sub-commands of `fusion-ros`."""
    parser = subparsers.add_parser(
        "replay",
        help="evaluate recordings: report, figures and verdict",
        description="Sends recordings through the pairing and the fusion of the node, and writes "
        "report.html, summary.json, frames.csv and pairs.csv.",
        epilog=_EXAMPLES,
    )
    add_options(parser, *_INPUT)
    add_weights(parser)
    add_options(parser, *ENGINE)
    for title, options in _GROUPS.items():
        add_options(parser.add_argument_group(title), *options)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Replay, and return the exit code."""
    with sigterm_as_ctrl_c():
        if args.live:
            from fusion_ros.cli.replay.live import run_live

            return run_live(args)
        for name, value in (("--rate", args.rate), ("--search-s", args.search_s)):
            if value is not None:
                raise ValueError(f"{name} needs --live; --frame-rate is that of image folders")
        from fusion_ros.cli.replay.run import run_offline

        return run_offline(args)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `fusion-ros replay` as `ros2 run fusion_ros replay`."""
    from fusion_ros.cli import main as command_line

    rest = sys.argv[1:] if arguments is None else list(arguments)
    return command_line.main(["replay", *rest])
