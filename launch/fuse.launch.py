# SPDX-License-Identifier: Apache-2.0
"""Start the fuse node and, on request, synthetic cameras.

    ros2 launch fusion_ros fuse.launch.py visible_topic:=/cam/color/image_raw \
        thermal_topic:=/lepton/image_raw
    ros2 launch fusion_ros fuse.launch.py --show-args
    ros2 launch fusion_ros fuse.launch.py build_only:=true params_file:=robot.yaml

An empty argument leaves the value of the parameter file, or else the node's default. A launch file
that includes this one twice puts each into a `GroupAction`, so that arguments of the first are not
those of the second.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    OpaqueFunction,
    SetEnvironmentVariable,
)
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from fusion_ros.nodes.runtime.dds_profile import profile_settings
from fusion_ros.nodes.runtime.launch_exit import end_with_exit_code
from fusion_ros.parameters import SPECS
from fusion_ros.parameters.files import check_section

# Beside this folder in the source tree, and in share/fusion_ros.
CONFIG = Path(__file__).resolve().parent.parent / "config"

LOG_LEVELS = ["debug", "info", "warn", "error", "fatal"]

# Launch arguments that set the node's parameter of the same name.
PARAMETER_ARGUMENTS = ("preset", "weights", "engine", "device")
SWITCHES = ("autostart", "use_sim_time")


def parameter_argument(name: str) -> DeclareLaunchArgument:
    """Return the launch argument for a parameter, described by the parameter table."""
    spec = next(spec for spec in SPECS if spec.name == name)
    choices = ["true", "false"] if spec.kind is bool else spec.choices
    return DeclareLaunchArgument(
        name,
        default_value="",
        choices=["", *choices] if choices else None,
        description=f"{spec.meaning} An empty argument leaves the value of params_file.",
    )


ARGUMENTS = [
    DeclareLaunchArgument(
        "visible_topic",
        default_value="visible/image_raw",
        description="Image topic of the visible camera; its camera_info is expected beside it.",
    ),
    DeclareLaunchArgument(
        "thermal_topic",
        default_value="thermal/image_raw",
        description="Image topic of the thermal camera; its camera_info is expected beside it.",
    ),
    DeclareLaunchArgument(
        "fused_namespace",
        default_value="fused",
        description="Namespace of the outputs: image_raw, camera_info, status and overlay.",
    ),
    DeclareLaunchArgument(
        "namespace",
        default_value="",
        description="Namespace of the node and of all topics without a leading slash.",
    ),
    DeclareLaunchArgument(
        "params_file",
        default_value=str(CONFIG / "fuse.yaml"),
        description="Parameter file of the fuse node. The default file describes every parameter.",
    ),
    *(parameter_argument(name) for name in (*PARAMETER_ARGUMENTS, "autostart")),
    DeclareLaunchArgument(
        "respawn",
        default_value="false",
        choices=["true", "false"],
        description="Start the fuse node again two seconds after it ended.",
    ),
    DeclareLaunchArgument(
        "synthetic_cameras",
        default_value="false",
        choices=["true", "false"],
        description="Start a synthetic visible and a synthetic thermal camera on visible_topic and "
        "thermal_topic, each in its own process.",
    ),
    DeclareLaunchArgument(
        "use_sim_time",
        default_value="",
        choices=["", "true", "false"],
        description="Take the time from /clock, for a simulation or a bag played with --clock. "
        "An empty argument leaves the value of params_file.",
    ),
    DeclareLaunchArgument(
        "log_level",
        default_value="info",
        choices=LOG_LEVELS,
        description="Lowest severity that the nodes log.",
    ),
    DeclareLaunchArgument(
        "build_only",
        default_value="false",
        choices=["true", "false"],
        description="Build the TensorRT engine for these arguments and params_file (for "
        "warm_up_width x warm_up_height) and end without starting a node.",
    ),
    DeclareLaunchArgument(
        "build_options",
        default_value="",
        description="With build_only: further options of `fusion-ros build-engine`.",
    ),
]


def build_command(given: dict[str, str]) -> list[str]:
    """Return the command line that builds the engine for these arguments."""
    line = [sys.executable, "-m", "fusion_ros.cli.main", "build-engine"]
    if given["params_file"]:
        line += ["--params", given["params_file"]]
    for name in PARAMETER_ARGUMENTS:
        if given[name]:
            line += ["--set", f"{name}={json.dumps(given[name])}"]  # always text in YAML
    return line + shlex.split(given["build_options"])


def check_file(context: LaunchContext) -> None:
    """Check `params_file`.

    Raises:
        RuntimeError: it is not a file. launch_ros would only warn and start the node with defaults,
            and no shell expands ~ after := .
        ParameterError: no section of it is for the node, which ROS would start with defaults.
    """
    file = LaunchConfiguration("params_file").perform(context)
    if file and not Path(file).is_file():
        raise RuntimeError(
            f"params_file is {file!r}, which is not a file; allowed: the path of a file, or empty"
        )
    if file:
        namespace = LaunchConfiguration("namespace").perform(context)
        if not namespace.startswith("/"):  # a namespace that another launch file pushes comes first
            namespace = f"{context.launch_configurations.get('ros_namespace', '')}/{namespace}"
        parts = [part for part in namespace.split("/") if part]
        check_section(Path(file), "/".join(["", *parts, "fuse_node"]))


def started(context: LaunchContext) -> list[ExecuteProcess]:
    """Return the nodes, or the build of their engine."""
    given = {
        argument.name: LaunchConfiguration(argument.name).perform(context) for argument in ARGUMENTS
    }
    if given["build_only"] == "true":
        return [
            ExecuteProcess(
                cmd=build_command(given),
                name="build_engine",
                output="screen",
                on_exit=end_with_exit_code,
            )
        ]
    return nodes(given)


def parameters(given: dict[str, str]) -> list[str | dict[str, str | bool]]:
    """Return the parameter file and the arguments that take priority over it."""
    overrides: dict[str, str | bool] = {
        name: given[name] for name in PARAMETER_ARGUMENTS if given[name]
    }
    overrides |= {name: given[name] == "true" for name in SWITCHES if given[name]}
    return [item for item in (given["params_file"], overrides) if item]


def nodes(given: dict[str, str]) -> list[ExecuteProcess]:
    """Return the requested nodes."""
    # The nodes place camera_info beside the image topic.
    cameras = {
        stream: (f"{stream}/image_raw", given[f"{stream}_topic"])
        for stream in ("visible", "thermal")
    }
    fused_namespace = given["fused_namespace"].rstrip("/")
    fused = [
        (f"fused/{name}", f"{fused_namespace}/{name}")
        for name in ("image_raw", "camera_info", "status", "overlay")
    ]

    shared = {
        "package": "fusion_ros",
        "namespace": given["namespace"],
        "output": "screen",
        "ros_arguments": ["--log-level", given["log_level"]],
    }
    started_nodes = [
        Node(
            executable="fuse_node",
            name="fuse_node",
            parameters=parameters(given),
            remappings=[*cameras.values(), *fused],
            respawn=given["respawn"] == "true",
            respawn_delay=2.0,
            **shared,
        )
    ]
    if given["synthetic_cameras"] == "true":
        clock = {"use_sim_time": given["use_sim_time"] == "true"} if given["use_sim_time"] else {}
        started_nodes += [
            Node(
                executable="synthetic_camera",
                name=f"synthetic_{stream}_camera",
                parameters=[{"modality": stream, **clock}],
                remappings=[remapping],
                **shared,
            )
            for stream, remapping in cameras.items()
        ]
    return started_nodes


def generate_launch_description() -> LaunchDescription:
    """Return the description for `ros2 launch`."""
    profile = [
        SetEnvironmentVariable(name, value) for name, value in profile_settings(os.environ).items()
    ]
    # detect.launch.py inserts the detector before the last one, which starts processes.
    actions = [OpaqueFunction(function=check_file), OpaqueFunction(function=started)]
    return LaunchDescription([*profile, *ARGUMENTS, *actions])
