# SPDX-License-Identifier: Apache-2.0
"""Registration from live camera_infos and tf, over real DDS."""

from __future__ import annotations

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.qos import DurabilityPolicy, QoSProfile
from rig import Rig, pixels
from sensor_msgs.msg import CameraInfo

from fusion_ros.calibration.files import save_calibration
from fusion_ros.registration.geometry import CameraModel, RigCalibration, Size

pytestmark = pytest.mark.ros

FOCAL_PX = 64.0
LIVE = {"registration_mode": "calibrated", "registration_source": "tf",
        "registration_distance_m": 10.0, "output_encoding": "mono8",
        "registration_feather_percent": 0.0, "stream_timeout_ms": 300.0}  # fmt: skip


def info(frame_id: str, focal_px: float = FOCAL_PX) -> CameraInfo:
    """A pinhole camera of 64 x 48 pixels."""
    message = CameraInfo(width=64, height=48, distortion_model="plumb_bob")
    message.header.frame_id = frame_id
    message.d = [0.0] * 5
    message.k = [focal_px, 0.0, 31.5, 0.0, focal_px, 23.5, 0.0, 0.0, 1.0]
    return message


class LiveRobot(Rig):
    """A rig that also publishes its calibration, with a bright column in the thermal image."""

    def __init__(self, ros, **overrides) -> None:
        super().__init__(ros, {**LIVE, **overrides})
        self.column = np.full((48, 64), 100, np.uint8)
        self.column[:, 40] = 200

    def send_pair(self, stamp_ms: float, skew_ms: float = 0.0) -> None:
        self.send_visible(stamp_ms, np.full((48, 64), 100, np.uint8))
        self.send_thermal(stamp_ms, self.column)

    def send_infos(self, focal_px: float = FOCAL_PX) -> None:
        self.info.publish(info("left"))
        self.thermal_info.publish(info("right", focal_px))

    def send_tf(self, parent: str, child: str, x_m: float) -> None:
        tf = pytest.importorskip("tf2_msgs.msg", reason="tf2_msgs was not built")
        from geometry_msgs.msg import TransformStamped

        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        stamped = TransformStamped(child_frame_id=child)
        stamped.header.frame_id = parent
        stamped.transform.translation.x = x_m
        publisher = self.cameras.create_publisher(tf.TFMessage, "/tf_static", latched)
        publisher.publish(tf.TFMessage(transforms=[stamped]))

    def streams(self) -> str:
        """The newest message of the diagnostics about the streams."""
        return self.diagnostics[-1].status[0].message if self.diagnostics else ""

    def wait_for(self, text: str) -> None:
        self.send_until(self.send_pair, lambda: text in self.streams(), f"diagnostics say {text!r}")

    def bright_columns(self) -> list[int]:
        """Where the newest fused picture shows the column."""
        return np.flatnonzero((pixels(self.fused[-1])[:, :, 0] > 120).all(axis=0)).tolist()


def test_visible_frames_pass_alone_until_the_calibration_is_complete(ros):
    robot = LiveRobot(ros)
    robot.wait_for("thermal camera's camera_info")
    robot.send_infos()
    robot.wait_for("a transform between left and right")
    assert robot.counts()["thermal"]["fused"] == 0
    assert robot.counts()["thermal"]["rejected_by_reason"]["not_calibrated"] > 0
    robot.send_until(
        robot.send_pair, lambda: robot.status_mode() == "visible_only", "the mode is visible_only"
    )
    assert (pixels(robot.fused[-1]) == 100).all()

    # 10 px at 64 px focal length and 10 m: the thermal camera stands 1.5625 m to the right.
    robot.send_tf("mast", "left", -1.0)
    robot.send_tf("mast", "right", 0.5625)
    robot.send_until(
        robot.send_pair, lambda: robot.bright_columns() == [50], "the column lies where it belongs"
    )
    robot.wait_for("both streams arrive")
    assert robot.status_mode() == "fusing"


def test_an_implausible_transform_is_reported_until_it_is_corrected(ros):
    robot = LiveRobot(ros)
    robot.send_infos()
    robot.send_tf("left", "right", 52.0)
    robot.wait_for("52 m apart")
    assert robot.diagnostics[-1].status[0].level == DiagnosticStatus.ERROR
    assert robot.counts()["thermal"]["fused"] == 0
    robot.send_tf("left", "right", 9.9)  # 63 pixels: the pictures have no pixel in common
    robot.wait_for("plausible geometry")
    robot.send_tf("left", "right", 0.0)
    robot.send_until(
        robot.send_pair, lambda: bool(robot.fused) and robot.bright_columns() == [40], "it is fused"
    )


def test_a_changed_camera_info_is_used(ros):
    robot = LiveRobot(ros)
    robot.send_tf("left", "right", 0.0)
    robot.send_until(
        lambda stamp_ms: (robot.send_infos(), robot.send_pair(stamp_ms)),
        lambda: bool(robot.fused) and robot.bright_columns() == [40],
        "both cameras look the same way",
    )
    # The thermal lens turns out wider: 8.5 px from the middle are 17 on the visible picture.
    robot.send_infos(focal_px=FOCAL_PX / 2)
    robot.send_until(
        robot.send_pair,
        lambda: robot.bright_columns() == [48, 49],
        "the column lies further from the middle",
    )


def test_the_transform_may_come_from_a_file_which_reload_reads_again(ros, tmp_path):
    path = tmp_path / "rig.yaml"
    camera = CameraModel(Size(640, 480), np.diag([999.0, 999, 1]))  # not taken: only the way is

    def write(x_m: float) -> None:
        save_calibration(path, RigCalibration(camera, camera, np.eye(3), [x_m, 0, 0], 10.0))

    write(-1.5625)
    robot = LiveRobot(
        ros,
        registration_source="camera_info",
        registration_calibration_file=str(path),
        registration_distance_m=0.0,
    )
    robot.wait_for("visible camera's camera_info")
    robot.send_infos()
    robot.send_until(
        robot.send_pair, lambda: robot.bright_columns() == [50], "the column lies where it belongs"
    )
    write(0.0)
    trigger = pytest.importorskip("std_srvs.srv", reason="std_srvs is not installed").Trigger
    client = robot.listener.create_client(trigger, "fuse_node/reload")
    ros.spin_until(client.service_is_ready, "the service is there")
    asked = client.call_async(trigger.Request())
    ros.spin_until(asked.done, "reload answered")
    assert asked.result().success
    robot.send_until(robot.send_pair, lambda: robot.bright_columns() == [40], "it lies elsewhere")


def test_a_driver_without_calibration_is_reported_and_hold_publishes_nothing(ros):
    robot = LiveRobot(ros, on_stream_loss="hold")
    robot.info.publish(info("left"))
    robot.send_until(
        lambda stamp_ms: (
            robot.thermal_info.publish(info("right", 0.0)), robot.send_pair(stamp_ms)
        ),
        lambda: "focal lengths are 0" in robot.streams(),
        "diagnostics tell of the driver",
    )  # fmt: skip
    ros.spin_until(lambda: robot.status_mode() == "waiting", "a status names the mode")
    assert robot.fused == []
