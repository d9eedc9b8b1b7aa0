# SPDX-License-Identifier: Apache-2.0
"""Synthetic cameras, the fuse node and a recorder; ends when the recorder has what it wants.

ros2 launch fusion_ros demo.launch.py out:=demo seconds:=10

Takes the arguments of fuse.launch.py as well. Exit code 1 where nothing was fused, or a node died.
"""

from __future__ import annotations

from pathlib import Path

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, RegisterEventHandler
from launch.event_handlers import OnProcessExit
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from fusion_ros.nodes.runtime.launch_exit import end_with_exit_code

FUSE = Path(__file__).resolve().parent / "fuse.launch.py"
FUSED = LaunchConfiguration("fused_namespace")


def generate_launch_description() -> LaunchDescription:
    """What `ros2 launch` runs."""
    return LaunchDescription(
        [
            # Whichever ends first: the recorder where all is well, else the node that failed.
            RegisterEventHandler(OnProcessExit(on_exit=end_with_exit_code)),
            DeclareLaunchArgument(
                "out",
                default_value="demo",
                description="Folder for the pictures, the video and summary.json.",
            ),
            DeclareLaunchArgument(
                "seconds",
                default_value="10.0",
                description="How long to record [s].",
            ),
            # First, because it puts the Fast DDS profile into the environment.
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(str(FUSE)),
                launch_arguments={"synthetic_cameras": "true"}.items(),
            ),
            Node(
                package="fusion_ros",
                executable="recorder",
                name="recorder",
                namespace=LaunchConfiguration("namespace"),
                output="screen",
                parameters=[
                    {
                        "out": ParameterValue(LaunchConfiguration("out"), value_type=str),
                        "seconds": ParameterValue(LaunchConfiguration("seconds"), value_type=float),
                    }
                ],
                remappings=[
                    ("visible/image_raw", LaunchConfiguration("visible_topic")),
                    ("thermal/image_raw", LaunchConfiguration("thermal_topic")),
                    ("fused/image_raw", [FUSED, "/image_raw"]),
                    ("fused/status", [FUSED, "/status"]),
                ],
            ),
        ]
    )
