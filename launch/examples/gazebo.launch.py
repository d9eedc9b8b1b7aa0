# SPDX-License-Identifier: Apache-2.0
"""A colour and a thermal camera of a running Gazebo simulation, fused in simulated time.

    ros2 launch fusion_ros gazebo.launch.py

Driver: `parameter_bridge` of ros_gz_bridge. The world has a sensor of type `camera` on the topic
rgb/image and one of type `thermal` on thermal/image, with the same pose and field of view. With
16-bit images (format L16) and this plugin in the thermal sensor a count is 0.01 K, which
config/cameras/gazebo.yaml states:

    <plugin filename="gz-sim-thermal-sensor-system" name="gz::sim::systems::ThermalSensor">
      <min_temp>253.15</min_temp> <max_temp>673.15</max_temp> <resolution>0.01</resolution>
    </plugin>

ROS topics: /rgb/image (rgb8), /rgb/camera_info, /thermal/image (mono16).
"""

from __future__ import annotations

from pathlib import Path

from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import Node

SHARE = Path(__file__).resolve().parents[2]

# `[`: from Gazebo to ROS. Gazebo Fortress (Humble) has ignition.msgs instead of gz.msgs.
BRIDGED = [
    "/clock@rosgraph_msgs/msg/Clock[gz.msgs.Clock",
    "/rgb/image@sensor_msgs/msg/Image[gz.msgs.Image",
    "/rgb/camera_info@sensor_msgs/msg/CameraInfo[gz.msgs.CameraInfo",
    "/thermal/image@sensor_msgs/msg/Image[gz.msgs.Image",
]


def generate_launch_description() -> LaunchDescription:
    """Return the description for `ros2 launch`."""
    bridge = Node(
        package="ros_gz_bridge",
        executable="parameter_bridge",
        arguments=BRIDGED,
        output="screen",
    )
    fuse = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(SHARE / "launch" / "fuse.launch.py")),
        launch_arguments={
            "visible_topic": "/rgb/image",
            "thermal_topic": "/thermal/image",
            "params_file": str(SHARE / "config" / "cameras" / "gazebo.yaml"),
            "use_sim_time": "true",
        }.items(),
    )
    # First, as it sets the DDS profile with which large images arrive, also for the bridge.
    return LaunchDescription([fuse, bridge])
