# SPDX-License-Identifier: Apache-2.0
"""Synthetic cameras, the fuse node and a recorder; ends when the recorder has what it wants.

ros2 launch fusion_ros demo.launch.py out:=demo seconds:=10
"""

from __future__ import annotations

from pathlib import Path

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

FUSE = Path(__file__).resolve().parent / "fuse.launch.py"


def generate_launch_description() -> LaunchDescription:
    """What `ros2 launch` runs."""
    return LaunchDescription(
        [
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
                on_exit=Shutdown(reason="the recorder is done"),
            ),
        ]
    )
