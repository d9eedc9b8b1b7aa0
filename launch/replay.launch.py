# SPDX-License-Identifier: Apache-2.0
"""Replays a recording and writes its report; the same as `fusion-ros replay`.

    ros2 launch fusion_ros replay.launch.py bag:=drive.mcap out:=report gate:=gate.yaml
    ros2 launch fusion_ros replay.launch.py bag:=drive.mcap out:=live extra:="--live --rate 2"

Ends when the replay has, with 0 where it passed and 1 where it did not; the log says which it was
(exit code 1 the gate failed, 2 could not run). A process and no node: the replay needs no ROS
graph, and with --live it makes its own.
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
        "bag", description="A bag, a folder that holds vis/ and ir/, or NAME_vis.mp4."
    ),
    DeclareLaunchArgument("out", default_value="replay", description="Folder for the report."),
    DeclareLaunchArgument(
        "params_file", default_value="", description="Parameter file of the fuse node."
    ),
    DeclareLaunchArgument("gate", default_value="", description="YAML file of thresholds."),
    DeclareLaunchArgument(
        "extra", default_value="", description="Further options, as `fusion-ros replay` takes them."
    ),
]


def command(values: dict[str, str]) -> list[str]:
    """The command line that the arguments stand for."""
    line = [sys.executable, "-m", "fusion_ros.cli.main", "replay", values["bag"]]
    line += ["--out", values["out"]]
    for option, name in (("--params", "params_file"), ("--gate", "gate")):
        if values[name]:
            line += [option, values[name]]
    return line + shlex.split(values["extra"])


def process(context: LaunchContext) -> list[ExecuteProcess]:
    """The process that the arguments ask for."""
    values = {a.name: LaunchConfiguration(a.name).perform(context) for a in ARGUMENTS}
    return [
        ExecuteProcess(
            cmd=command(values), name="replay", output="screen", on_exit=end_with_exit_code
        )
    ]


def generate_launch_description() -> LaunchDescription:
    """What `ros2 launch` runs."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=process)])
