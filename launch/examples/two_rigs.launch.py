# SPDX-License-Identifier: Apache-2.0
"""Two rigs on one robot: a fuse node for each, in a namespace of its own.

    ros2 launch fusion_ros two_rigs.launch.py front_params:=front.yaml rear_params:=rear.yaml

The drivers run already and publish /front/rgb/image_raw (rgb8), /front/thermal/image_raw and the
same in /rear. Outputs are /front/fused/image_raw, /front/thermal_registered/image_raw and so on.
Each rig has a parameter file of its own, because it has its own calibration. Start from the file in
config/cameras for its thermal camera.
"""

from __future__ import annotations

from pathlib import Path

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

SHARE = Path(__file__).resolve().parents[2]
RIGS = ("front", "rear")


def generate_launch_description() -> LaunchDescription:
    """Return the description for `ros2 launch`."""
    lepton = str(SHARE / "config" / "cameras" / "lepton_3_5.yaml")
    arguments = [DeclareLaunchArgument(f"{rig}_params", default_value=lepton) for rig in RIGS]
    # A group keeps the arguments of one rig from the other.
    groups = [
        GroupAction(
            [
                IncludeLaunchDescription(
                    PythonLaunchDescriptionSource(str(SHARE / "launch" / "fuse.launch.py")),
                    launch_arguments={
                        "namespace": rig,
                        "visible_topic": "rgb/image_raw",
                        "thermal_topic": "thermal/image_raw",
                        "params_file": LaunchConfiguration(f"{rig}_params"),
                    }.items(),
                )
            ]
        )
        for rig in RIGS
    ]
    return LaunchDescription([*arguments, *groups])
