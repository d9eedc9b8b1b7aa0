# SPDX-License-Identifier: Apache-2.0
"""Several rigs on one robot: a fuse node for each, in a namespace and a process of its own.

    ros2 launch fusion_ros rigs.launch.py rigs:=front,rear,left,right params_dir:=/home/robot/rigs

The drivers run already and publish /front/rgb/image_raw (rgb8), /front/thermal/image_raw and the
same for the other names. Outputs are /front/fused/image_raw, /front/thermal_registered/image_raw
and so on. `params_dir` has a file for each rig, front.yaml and so on, because each has its own
calibration. Start from the file in config/cameras for its thermal camera.
"""

from __future__ import annotations

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    GroupAction,
    IncludeLaunchDescription,
    OpaqueFunction,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

SHARE = Path(__file__).resolve().parents[2]

ARGUMENTS = [
    DeclareLaunchArgument(
        "rigs", default_value="front,rear", description="Names of the rigs, joined by commas."
    ),
    DeclareLaunchArgument(
        "params_dir",
        default_value="",
        description="Folder with NAME.yaml for each rig; empty: config/cameras/lepton_3_5.yaml.",
    ),
]


def started(context: LaunchContext) -> list:
    """Return a fuse node for each rig; a group keeps the arguments of one rig from the others."""
    folder = LaunchConfiguration("params_dir").perform(context)
    lepton = SHARE / "config" / "cameras" / "lepton_3_5.yaml"
    return [
        GroupAction(
            [
                IncludeLaunchDescription(
                    PythonLaunchDescriptionSource(str(SHARE / "launch" / "fuse.launch.py")),
                    launch_arguments={
                        "namespace": rig,
                        "visible_topic": "rgb/image_raw",
                        "thermal_topic": "thermal/image_raw",
                        "params_file": str(Path(folder) / f"{rig}.yaml" if folder else lepton),
                    }.items(),
                )
            ]
        )
        for rig in LaunchConfiguration("rigs").perform(context).split(",")
    ]


def generate_launch_description() -> LaunchDescription:
    """Return the description for `ros2 launch`."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=started)])
