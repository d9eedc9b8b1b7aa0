# SPDX-License-Identifier: Apache-2.0
"""Show the fused image, overlay, registered thermal image and status of a running fuse node.

    ros2 launch fusion_ros view.launch.py                      # RViz
    ros2 launch fusion_ros view.launch.py viewer:=foxglove     # bridge for the Foxglove app

For Foxglove, open ws://localhost:8765 in the app and import config/foxglove/fusion.json.
"""

from __future__ import annotations

import os
from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from fusion_ros.nodes.runtime.dds_profile import profile_settings

CONFIG = Path(__file__).resolve().parent.parent / "config"

ARGUMENTS = [
    DeclareLaunchArgument(
        "viewer",
        default_value="rviz",
        choices=["rviz", "foxglove"],
        description="rviz starts rviz2; foxglove starts foxglove_bridge on this machine.",
    ),
    DeclareLaunchArgument(
        "port", default_value="8765", description="Port of foxglove_bridge on localhost."
    ),
]


def viewer(context: LaunchContext) -> list[Node]:
    """Return the chosen viewer."""
    if LaunchConfiguration("viewer").perform(context) == "rviz":
        arguments = ["-d", str(CONFIG / "rviz" / "fusion.rviz")]
        return [Node(package="rviz2", executable="rviz2", arguments=arguments, output="screen")]
    address = {
        "address": "127.0.0.1",
        "port": int(LaunchConfiguration("port").perform(context)),
    }
    return [
        Node(
            package="foxglove_bridge",
            executable="foxglove_bridge",
            parameters=[address],
            output="screen",
        )
    ]


def generate_launch_description() -> LaunchDescription:
    """Return the description for `ros2 launch`."""
    settings = profile_settings(os.environ)
    return LaunchDescription(
        [
            *(SetEnvironmentVariable(name, value) for name, value in settings.items()),
            *ARGUMENTS,
            OpaqueFunction(function=viewer),
        ]
    )
