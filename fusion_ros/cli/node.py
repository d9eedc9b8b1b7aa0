# SPDX-License-Identifier: Apache-2.0
"""`fusion-ros node`: the fuse node, also without `ros2 run`."""

from __future__ import annotations

import argparse
import importlib.util
import os
from collections.abc import Sequence
from typing import Any

from fusion_ros.cli.argument_types import not_allowed
from fusion_ros.cli.options import add_options, opt
from fusion_ros.nodes.runtime.dds_profile import profile_settings

_EXAMPLES = """\
examples:
  fusion-ros node
  fusion-ros node --params config/fuse.yaml
  fusion-ros node -p engine=torch -p output_encoding=mono8
  fusion-ros node -r visible/image_raw:=/rgb/image -r thermal/image_raw:=/ir/image
  fusion-ros node -- --log-level debug        arguments after -- are passed to ROS unchanged

Ctrl-C stops it. On a machine with a ROS distribution this is the same node as
`ros2 run fusion_ros fuse_node` and `ros2 launch fusion_ros fuse.launch.py`.
"""
NO_RCLPY_FIX = (
    "source your ROS 2 distribution (source /opt/ros/DISTRO/setup.bash), or on x86_64 without one: "
    "make setup, in a clone of fusion_ros"
)


def add_parser(subparsers: Any) -> None:
    """Add `node` to the sub-commands of `fusion-ros`."""
    parser = subparsers.add_parser(
        "node",
        help="run the fuse node, with or without a ROS distribution",
        description="Runs the fuse node in this terminal, with the DDS profile for large images "
        "unless the environment sets another.",
        epilog=_EXAMPLES,
    )
    # fmt: off
    add_options(
        parser,
        opt("--params FILE", "ROS 2 parameter file (YAML), such as config/fuse.yaml"),
        opt("-p --set NAME=VALUE", "one parameter, such as engine=torch; repeatable, overrides "
            "--params (list: docs/reference/parameters.md)", dest="parameters", action="append",
            default=[], type=_assignment),
        opt("-r FROM:=TO", "use another name for a topic, such as visible/image_raw:=/rgb/image, "
            "or for the node (__node, __ns); repeatable", dest="remappings", action="append",
            default=[], type=_remapping),
        opt("ros ROS_ARG", "behind --: arguments for ROS, such as --log-level debug", nargs="*"),
    )
    # fmt: on
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the node until it is stopped and return its exit code.

    Raises:
        ValueError: the arguments or the parameter file are wrong, or rclpy is missing.
    """
    if args.params is not None:
        from fusion_ros.parameters.files import check_section

        # ROS reports an unreadable file with a traceback, and ignores sections for other nodes.
        check_section(args.params, _node_name([*args.remappings, *args.ros]))
    if args.ros and not args.ros[0].startswith("-"):
        raise ValueError(
            f"{args.ros[0]!r} is not an argument of ROS; give parameters with -p, topics with -r"
        )
    if importlib.util.find_spec("rclpy") is None:
        raise ValueError(f"rclpy is not installed: {NO_RCLPY_FIX}")
    # The middleware reads these when the node creates its participant.
    os.environ.update(profile_settings(os.environ))
    from fusion_ros.nodes.fuse.fuse_node import main

    return main(ros_arguments(args))


def ros_arguments(args: argparse.Namespace) -> list[str]:
    """Return the command line for `rclpy.init`."""
    result = ["--ros-args"]
    if args.params is not None:
        result += ["--params-file", str(args.params)]
    # After the file: the last assignment of a parameter wins.
    for assignment in args.parameters:
        result += ["-p", assignment]
    for remapping in args.remappings:
        result += ["-r", remapping]
    return result + list(args.ros)


def _node_name(remappings: Sequence[str]) -> str:
    """Return the fully qualified name of the node under these remappings."""
    names = {"__ns": "/", "__node": "fuse_node"}
    for remapping in remappings:
        old, _, new = remapping.partition(":=")
        names[old.rpartition(":")[2]] = new
    return f"{names['__ns'].rstrip('/')}/{names['__node']}"


def _assignment(text: str) -> str:
    name, sign, value = text.partition("=")
    name = name.removesuffix(":")
    if not sign or not name:
        raise not_allowed(text, "NAME=VALUE, such as engine=torch")
    return f"{name}:={value}"


def _remapping(text: str) -> str:
    old, sign, new = text.partition(":=")
    if not (old and sign and new):
        raise not_allowed(text, "FROM:=TO, such as visible/image_raw:=/rgb/image")
    return text
