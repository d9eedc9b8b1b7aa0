# SPDX-License-Identifier: Apache-2.0
"""Starts the fuse node, and synthetic cameras to feed it if asked.

    ros2 launch fusion_ros fuse.launch.py visible_topic:=/cam/color/image_raw \
        thermal_topic:=/lepton/image_raw
    ros2 launch fusion_ros fuse.launch.py --show-args
    ros2 launch fusion_ros fuse.launch.py build_only:=true params_file:=robot.yaml

An argument that is left empty changes nothing: the parameter file decides, then the node's own
default. The node is a lifecycle node that configures and activates itself (parameter `autostart`),
so nothing here has to drive it.
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

# Beside this folder in the source tree, and in share/fusion_ros.
CONFIG = Path(__file__).resolve().parent.parent / "config"

# Written out, because the tables that hold them import torch; a test compares.
PRESETS = ["compact", "paper"]
ENGINES = ["auto", "torch", "openvino", "tensorrt"]
DEVICES = ["auto", "cpu", "cuda"]
LOG_LEVELS = ["debug", "info", "warn", "error", "fatal"]

# Launch arguments that stand for the node's parameter of the same name.
PARAMETER_ARGUMENTS = ("preset", "weights", "engine", "device")

ARGUMENTS = [
    DeclareLaunchArgument(
        "visible_topic",
        default_value="visible/image_raw",
        description="Image topic of the RGB camera. Its camera_info is taken from beside it.",
    ),
    DeclareLaunchArgument(
        "thermal_topic",
        default_value="thermal/image_raw",
        description="Image topic of the thermal camera. Its camera_info is taken from beside it.",
    ),
    DeclareLaunchArgument(
        "fused_namespace",
        default_value="fused",
        description="Where image_raw, camera_info, status and overlay of the fused picture are "
        "published.",
    ),
    DeclareLaunchArgument(
        "namespace",
        default_value="",
        description="Namespace of the node, and with it of every topic that has no leading slash.",
    ),
    DeclareLaunchArgument(
        "params_file",
        default_value=str(CONFIG / "fuse.yaml"),
        description="Parameter file of the fuse node. The default one is a good one to copy.",
    ),
    DeclareLaunchArgument(
        "preset",
        default_value="",
        choices=["", *PRESETS],
        description="Network to run with its shipped weights. Empty: what params_file says.",
    ),
    DeclareLaunchArgument(
        "weights",
        default_value="",
        description="Path of a safetensors file to run in place of the shipped weights. "
        "Empty: what params_file says.",
    ),
    DeclareLaunchArgument(
        "engine",
        default_value="",
        choices=["", *ENGINES],
        description="What runs the network. Empty: what params_file says.",
    ),
    DeclareLaunchArgument(
        "device",
        default_value="",
        choices=["", *DEVICES],
        description="Where the network runs. Empty: what params_file says.",
    ),
    DeclareLaunchArgument(
        "synthetic_cameras",
        default_value="false",
        choices=["true", "false"],
        description="Also start a synthetic RGB and a synthetic thermal camera, "
        "each its own process, on visible_topic and thermal_topic.",
    ),
    DeclareLaunchArgument(
        "use_sim_time",
        default_value="",
        choices=["", "true", "false"],
        description="Take the time from /clock, as for a bag that is played with --clock. "
        "Empty: what params_file says.",
    ),
    DeclareLaunchArgument(
        "log_level",
        default_value="info",
        choices=LOG_LEVELS,
        description="Least severe messages that the nodes log. debug: also, once a second, where "
        "the frames went and what the newest pair took, stage by stage.",
    ),
    DeclareLaunchArgument(
        "build_only",
        default_value="false",
        choices=["true", "false"],
        description="Build the TensorRT engine that the node would run with these arguments and "
        "params_file (at warm_up_width x warm_up_height), and end: no node starts.",
    ),
    DeclareLaunchArgument(
        "build_options",
        default_value="",
        description="With build_only: further options, as `fusion-ros build-engine` takes them.",
    ),
]


def only_changes(remappings: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The remappings that rename something: a short command line is easier to read in a log."""
    return [(old, new) for old, new in remappings if old != new]


def beside(image_topic: str, name: str) -> str:
    """The topic `name` beside an image topic: cam/image_raw -> cam/camera_info."""
    folder, slash, _ = image_topic.rpartition("/")
    return f"{folder}{slash}{name}"


def camera_remappings(stream: str, image_topic: str) -> list[tuple[str, str]]:
    """Remappings that put a stream ("visible" or "thermal") on an image topic."""
    return only_changes(
        [
            (f"{stream}/image_raw", image_topic),
            (f"{stream}/camera_info", beside(image_topic, "camera_info")),
        ]
    )


def build_command(given: dict[str, str]) -> list[str]:
    """The command line that builds the engine of the node that the arguments describe."""
    line = [sys.executable, "-m", "fusion_ros.cli.main", "build-engine"]
    if given["params_file"]:
        line += ["--params", given["params_file"]]
    for name in PARAMETER_ARGUMENTS:
        if given[name]:
            line += ["--set", f"{name}={json.dumps(given[name])}"]  # a text, whatever YAML reads
    return line + shlex.split(given["build_options"])


def started(context: LaunchContext) -> list[ExecuteProcess]:
    """What the arguments ask for: the nodes, or the build of their engine."""
    given = {
        argument.name: LaunchConfiguration(argument.name).perform(context) for argument in ARGUMENTS
    }
    file = given["params_file"]
    if file and not Path(file).is_file():
        # launch_ros warns and starts the node with its defaults; no shell expands ~ behind := .
        raise RuntimeError(f"params_file is {file!r}, which is no file; allowed: a path, or empty")
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


def nodes(given: dict[str, str]) -> list[ExecuteProcess]:
    """The nodes that the arguments ask for."""
    visible = camera_remappings("visible", given["visible_topic"])
    thermal = camera_remappings("thermal", given["thermal_topic"])
    fused_namespace = given["fused_namespace"].rstrip("/")
    fused = only_changes(
        [
            (f"fused/{name}", f"{fused_namespace}/{name}")
            for name in ("image_raw", "camera_info", "status", "overlay")
        ]
    )

    overrides: dict[str, str | bool] = {
        name: given[name] for name in PARAMETER_ARGUMENTS if given[name]
    }
    clock: dict[str, str | bool] = {}
    if given["use_sim_time"]:
        clock["use_sim_time"] = given["use_sim_time"] == "true"
    overrides.update(clock)
    parameters: list[str | dict[str, str | bool]] = []
    if given["params_file"]:
        parameters.append(given["params_file"])
    if overrides:
        parameters.append(overrides)

    shared = {
        "package": "fusion_ros",
        "namespace": given["namespace"],
        "output": "screen",
        "ros_arguments": ["--log-level", given["log_level"]],
    }
    asked = [
        Node(
            executable="fuse_node",
            name="fuse_node",
            parameters=parameters,
            remappings=visible + thermal + fused,
            **shared,
        )
    ]
    if given["synthetic_cameras"] == "true":
        asked += [
            Node(
                executable="synthetic_camera",
                name=f"synthetic_{stream}_camera",
                parameters=[{"modality": stream, **clock}],
                remappings=remappings,
                **shared,
            )
            for stream, remappings in (("visible", visible), ("thermal", thermal))
        ]
    return asked


def generate_launch_description() -> LaunchDescription:
    """What `ros2 launch` runs."""
    profile = [
        SetEnvironmentVariable(name, value) for name, value in profile_settings(os.environ).items()
    ]
    return LaunchDescription([*profile, *ARGUMENTS, OpaqueFunction(function=started)])
