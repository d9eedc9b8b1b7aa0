# SPDX-License-Identifier: Apache-2.0
"""Start synthetic cameras, the fuse node and a recorder; end when the recording is complete.

    ros2 launch fusion_ros demo.launch.py out:=demo seconds:=10

The arguments of fuse.launch.py apply, too. Exit code 1 if nothing was fused or a node failed.
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
    """Return the description for `ros2 launch`."""
    return LaunchDescription(
        [
            # The first process to end decides: the recorder, or a node that failed.
            RegisterEventHandler(OnProcessExit(on_exit=end_with_exit_code)),
            DeclareLaunchArgument(
                "out",
                default_value="demo",
                description="Output folder for the images, the video and summary.json.",
            ),
            DeclareLaunchArgument(
                "seconds",
                default_value="10.0",
                description="Duration of the recording [s].",
            ),
            # First, because it sets the Fast DDS profile in the environment.
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
