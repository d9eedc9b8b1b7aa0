# SPDX-License-Identifier: Apache-2.0
"""Replay a recording and write its report, as `fusion-ros replay` does.

    ros2 launch fusion_ros replay.launch.py bag:=drive.mcap out:=report gate:=gate.yaml
    ros2 launch fusion_ros replay.launch.py bag:=drive.mcap out:=live extra:="--live --rate 2"

Ends with the replay, with code 0 if it passed, else 1. The log has the exit code of the replay: 1
if the gate failed, 2 if it could not run. The replay is a process without a node; with --live it
starts its own nodes.
"""

from __future__ import annotations

import shlex
import sys

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction
from launch.substitutions import LaunchConfiguration

from fusion_ros.nodes.runtime.launch_exit import end_with_exit_code

ARGUMENTS = [
    DeclareLaunchArgument(
        "bag", description="Recording: a bag, a folder with vis/ and ir/, or NAME_vis.mp4."
    ),
    DeclareLaunchArgument(
        "out", default_value="replay", description="Output folder of the report."
    ),
    DeclareLaunchArgument(
        "params_file", default_value="", description="Parameter file of the fuse node."
    ),
    DeclareLaunchArgument(
        "gate", default_value="", description="YAML file with the thresholds of the gate."
    ),
    DeclareLaunchArgument(
        "extra", default_value="", description="Further options of `fusion-ros replay`."
    ),
]


def command(values: dict[str, str]) -> list[str]:
    """Return the command line for these arguments."""
    line = [sys.executable, "-m", "fusion_ros.cli.main", "replay", values["bag"]]
    line += ["--out", values["out"]]
    for option, name in (("--params", "params_file"), ("--gate", "gate")):
        if values[name]:
            line += [option, values[name]]
    return line + shlex.split(values["extra"])


def process(context: LaunchContext) -> list[ExecuteProcess]:
    """Return the process of the replay."""
    values = {a.name: LaunchConfiguration(a.name).perform(context) for a in ARGUMENTS}
    return [
        ExecuteProcess(
            cmd=command(values), name="replay", output="screen", on_exit=end_with_exit_code
        )
    ]


def generate_launch_description() -> LaunchDescription:
    """Return the description for `ros2 launch`."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=process)])
