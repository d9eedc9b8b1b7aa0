# SPDX-License-Identifier: Apache-2.0
"""Start the fuse node and a detector on the fused image.

    ros2 launch fusion_ros detect.launch.py visible_topic:=/cam/color/image_raw \
        thermal_topic:=/lepton/image_raw detector_arguments:="model:=/data/yolo11n.onnx"

The detector is any package with a launch file that has an argument for the image topic; the default
is yolo_ros. It receives that argument and `detector_arguments`, and none of this file or of
fuse.launch.py. If the package is not installed, the fuse node runs alone and the reason is logged.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    GroupAction,
    IncludeLaunchDescription,
    LogInfo,
    OpaqueFunction,
    UnsetLaunchConfiguration,
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
    include = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(file)), launch_arguments=arguments.items()
    )
    # An argument such as `device` is one of yolo_ros, too. `forwarding=False` would also hide a
    # namespace or a parameter that an outer launch file set for all nodes.
    ours = [a.name for a in (*ARGUMENTS, *fuse_description().get_launch_arguments())]
    return [GroupAction([*(UnsetLaunchConfiguration(name) for name in ours), include])]


def fuse_description() -> LaunchDescription:
    """Return the description in fuse.launch.py."""
    return PythonLaunchDescriptionSource(str(FUSE)).get_launch_description(LaunchContext())


def generate_launch_description() -> LaunchDescription:
    """Return the description for `ros2 launch`."""
    *before, nodes = fuse_description().entities
    start = OpaqueFunction(
        function=detector, condition=UnlessCondition(LaunchConfiguration("build_only"))
    )
    # launch does not stop processes that it has just started when a later action raises. So the
    # detector's file comes after the checks of the fuse node's arguments and before its start.
    return LaunchDescription([*ARGUMENTS, *before, start, nodes])
