# SPDX-License-Identifier: Apache-2.0
"""Start the fuse node and a detector on the fused image.

    ros2 launch fusion_ros detect.launch.py visible_topic:=/cam/color/image_raw \
        thermal_topic:=/lepton/image_raw detector_arguments:="model:=yolo11n.pt"

The detector is any package with a launch file that has an argument for the image topic; the default
is yolo_ros. If the package is not installed, the fuse node runs alone and the reason is logged.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    LogInfo,
    OpaqueFunction,
)
from launch.conditions import UnlessCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

FUSE = Path(__file__).resolve().parent / "fuse.launch.py"

ARGUMENTS = [
    DeclareLaunchArgument(
        "detector_package",
        default_value="yolo_bringup",
        description="Package of the detector.",
    ),
    DeclareLaunchArgument(
        "detector_launch",
        default_value="yolo.launch.py",
        description="Launch file of the detector, in the folder launch of its package.",
    ),
    DeclareLaunchArgument(
        "detector_image_argument",
        default_value="input_image_topic",
        description="Argument of the detector's launch file for the image topic.",
    ),
    DeclareLaunchArgument(
        "detector_image_topic",
        default_value="/fused/image_raw",
        description="Image topic for the detector; change it together with fused_namespace or "
        "namespace.",
    ),
    DeclareLaunchArgument(
        "detector_arguments",
        default_value="",
        description="Further arguments of the detector's launch file, as name:=value, separated by "
        "spaces.",
    ),
]


def detector(context: LaunchContext) -> list[Any]:
    """Return the detector's launch file, or a log line with the reason for its absence."""
    values = {a.name: LaunchConfiguration(a.name).perform(context) for a in ARGUMENTS}
    package = values["detector_package"]
    try:
        share = Path(get_package_share_directory(package))
    except (PackageNotFoundError, ValueError) as error:
        return [LogInfo(msg=f"no detector: package {package} is not installed ({error})")]
    file = share / "launch" / values["detector_launch"]
    if not file.is_file():
        return [LogInfo(msg=f"no detector: {package} has no launch/{values['detector_launch']}")]
    arguments = {values["detector_image_argument"]: values["detector_image_topic"]}
    for item in shlex.split(values["detector_arguments"]):
        name, _, value = item.partition(":=")
        arguments[name] = value
    source = PythonLaunchDescriptionSource(str(file))
    return [IncludeLaunchDescription(source, launch_arguments=arguments.items())]


def generate_launch_description() -> LaunchDescription:
    """Return the description for `ros2 launch`."""
    return LaunchDescription(
        [
            *ARGUMENTS,
            # First, because it sets the Fast DDS profile in the environment.
            IncludeLaunchDescription(PythonLaunchDescriptionSource(str(FUSE))),
            OpaqueFunction(
                function=detector, condition=UnlessCondition(LaunchConfiguration("build_only"))
            ),
        ]
    )
