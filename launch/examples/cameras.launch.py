# SPDX-License-Identifier: Apache-2.0
"""A USB or RealSense colour camera beside a Lepton or a Boson, fused.

    ros2 launch fusion_ros cameras.launch.py thermal:=lepton thermal_device:=/dev/video2
    ros2 launch fusion_ros cameras.launch.py visible:=realsense thermal:=boson

| camera | driver | topic | images |
|---|---|---|---|
| usb_cam | usb_cam | /rgb/image_raw | rgb8, 640x480, 30 Hz |
| realsense | realsense2_camera | /camera/camera/color/image_raw | rgb8, 640x480, 30 Hz |
| lepton | usb_cam on a PureThermal board | /thermal/image_raw | mono16, 160x120, 9 Hz, 0.01 K |
| boson | usb_cam | /thermal/image_raw | mono16, 640x512, 30 Hz, counts |

The thermal image is stretched onto the visible one until a file given as `params_file` names a
calibration; docs/tutorials/first-robot.md shows the way there.
"""

from __future__ import annotations

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

SHARE = Path(__file__).resolve().parents[2]

THERMAL = {
    # Size, rate, parameter file. The 16-bit stream of both is V4L2 Y16, usb_cam's mono16.
    "lepton": (160, 120, 9.0, "lepton_3_5.yaml"),
    "boson": (640, 512, 30.0, "boson_640.yaml"),
}

ARGUMENTS = [
    DeclareLaunchArgument("visible", default_value="usb_cam", choices=["usb_cam", "realsense"]),
    DeclareLaunchArgument("visible_device", default_value="/dev/video0"),
    DeclareLaunchArgument("thermal", default_value="lepton", choices=list(THERMAL)),
    DeclareLaunchArgument("thermal_device", default_value="/dev/video2"),
    DeclareLaunchArgument(
        "params_file",
        default_value="",
        description="Parameters of the fuse node; empty: those in config/cameras for the thermal "
        "camera.",
    ),
]


def usb_cam(name: str, device: str, pixel_format: str, size: tuple[int, int], hz: float) -> Node:
    """Return the driver of a V4L2 camera on NAME/image_raw."""
    settings = {
        "video_device": device,
        "pixel_format": pixel_format,
        "image_width": size[0],
        "image_height": size[1],
        "framerate": hz,
        "camera_name": name,
        "frame_id": f"{name}_optical_frame",
    }
    return Node(
        package="usb_cam",
        executable="usb_cam_node_exe",
        name="usb_cam",
        namespace=name,
        parameters=[settings],
        output="screen",
    )


def realsense() -> IncludeLaunchDescription:
    """Return the driver of a RealSense camera, colour only."""
    file = PathJoinSubstitution([FindPackageShare("realsense2_camera"), "launch", "rs_launch.py"])
    settings = {"enable_depth": "false", "rgb_camera.color_profile": "640x480x30"}
    return IncludeLaunchDescription(
        PythonLaunchDescriptionSource(file), launch_arguments=settings.items()
    )


def started(context: LaunchContext) -> list:
    """Return both drivers and the fuse node."""
    given = {a.name: LaunchConfiguration(a.name).perform(context) for a in ARGUMENTS}
    width, height, hz, file = THERMAL[given["thermal"]]
    if given["visible"] == "realsense":
        visible, topic = realsense(), "/camera/camera/color/image_raw"
    else:
        visible = usb_cam("rgb", given["visible_device"], "mjpeg2rgb", (640, 480), 30.0)
        topic = "/rgb/image_raw"
    fuse = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(SHARE / "launch" / "fuse.launch.py")),
        launch_arguments={
            "visible_topic": topic,
            "thermal_topic": "/thermal/image_raw",
            "params_file": given["params_file"] or str(SHARE / "config" / "cameras" / file),
        }.items(),
    )
    thermal = usb_cam("thermal", given["thermal_device"], "mono16", (width, height), hz)
    # First, as it sets the DDS profile with which large images arrive, also for the drivers.
    return [fuse, visible, thermal]


def generate_launch_description() -> LaunchDescription:
    """Return the description for `ros2 launch`."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=started)])
