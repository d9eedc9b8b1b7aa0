# SPDX-License-Identifier: Apache-2.0
"""Options that several commands share: file matching, parameters, network, topics."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from fusion_ros.cli.argument_types import number
from fusion_ros.recordings.matching import DEFAULT_TOLERANCE_MS

_Group = argparse._ActionsContainer  # noqa: SLF001 -- argparse has no public name
"""A parser, or a group of its options."""


def add_by_order(group: _Group) -> None:
    """Add `--by-order`."""
    group.add_argument(
        "--by-order", action="store_true",
        help="pair the files of two folders by their position in sorted order instead of by their "
        "names; both folders need the same number of files",
    )  # fmt: skip


def add_video_rate(group: _Group) -> None:
    """Add `--rate`, the frame rate of videos without one."""
    group.add_argument(
        "--rate", type=number(0, above=True), metavar="HZ",
        help="frames per second of a video file that does not state its rate, such as 9",
    )  # fmt: skip


def add_tolerance(group: _Group) -> None:
    """Add `--tolerance-ms`, the largest difference of time stamps in file names."""
    group.add_argument(
        "--tolerance-ms", type=number(0), default=DEFAULT_TOLERANCE_MS, metavar="MS",
        help="largest difference, in milliseconds, of two time stamps in file names that belong "
        "together (default: %(default)g)",
    )  # fmt: skip


def add_topics(group: _Group) -> None:
    """Add the two topics of a bag."""
    for stream in ("visible", "thermal"):
        group.add_argument(
            f"--{stream}-topic", metavar="TOPIC",
            help=f"{stream} image topic of the bag, such as /{stream}/image_raw (default: chosen "
            "by message type and name)",
        )  # fmt: skip


def add_parameters(group: _Group) -> None:
    """Add `--params` and `--set`, the fuse node's parameters."""
    group.add_argument(
        "--params", type=Path, metavar="FILE",
        help="ROS 2 parameter file of the fuse node, such as config/fuse.yaml",
    )  # fmt: skip
    group.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE",
        help="one parameter of the fuse node, such as tone_mode=histogram; repeatable, overrides "
        "--params (list: docs/reference/parameters.md)",
    )  # fmt: skip


def add_weights(parser: _Group) -> None:
    """Add `--preset` or `--weights`, the network."""
    network = parser.add_mutually_exclusive_group()
    network.add_argument(
        "--preset", metavar="NAME",
        help="network whose shipped weights are used: compact (the default) or paper",
    )  # fmt: skip
    network.add_argument(
        "--weights", type=Path, metavar="FILE", help="weights of your own, a .safetensors file"
    )


def add_engine(group: _Group) -> None:
    """Add `--engine` and `--device`."""
    group.add_argument(
        "--engine", metavar="NAME",
        help="inference back end: auto, torch, openvino or tensorrt (default: auto, the first that "
        "runs here)",
    )  # fmt: skip
    group.add_argument(
        "--device", metavar="NAME",
        help="auto, cpu or cuda (default: auto, a GPU where one is usable)",
    )  # fmt: skip


def matching_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return the keyword arguments of `match_files` from the options."""
    return {"by_order": args.by_order, "tolerance_ms": args.tolerance_ms}
