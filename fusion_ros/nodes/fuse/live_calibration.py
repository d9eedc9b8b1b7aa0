# SPDX-License-Identifier: Apache-2.0
"""Calibration from topics of the robot: both camera_infos, and tf.

Parameter `registration_source`: with "camera_info" the transform between the cameras is that of the
calibration file. With "tf" it is the transform between the frame ids of both camera_infos.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo

from fusion_ros.calibration.files import declared_parts
from fusion_ros.calibration.imports import camera_from_info
from fusion_ros.calibration.live_rig import LiveCamera, LiveRig
from fusion_ros.calibration.plausibility import registration_doubts
from fusion_ros.nodes.runtime.log_lines import info_line, warning_line
from fusion_ros.nodes.runtime.subscription import FollowingSubscription
from fusion_ros.registration.geometry import GeometryError, Size
from fusion_ros.registration.options import RegistrationOptions
from fusion_ros.registration.warp import ThermalRegistration

try:
    from tf2_msgs.msg import TFMessage
except ImportError:  # the wheels have none; every ROS distribution does
    TFMessage = None

_TF_DEPTH = 100


class LiveCalibration:
    """Subscriptions from `activate` to `deactivate`; makes a registration from each change.

    Args:
        thermal_info_topic: the thermal camera's camera_info. The visible one's is passed to
            `take_visible`, since the node subscribes to it in any case.
        use: receives each new registration.

    Raises:
        ValueError: the calibration file cannot be used.
        ModuleNotFoundError: source "tf" where tf2_msgs is not installed.
    """

    def __init__(
        self,
        node: LifecycleNode,
        options: RegistrationOptions,
        thermal_info_topic: str,
        use: Callable[[ThermalRegistration], None],
    ) -> None:
        self._node = node
        self._options = options
        self._use = use
        self._rig = LiveRig(*declared_parts(options))
        self._newest_info: dict[str, tuple] = {}
        self._tf: list[Any] = []
        self._has_warned = False
        if options.source == "tf":
            self._tf = [
                self._subscribe_to_tf("/tf_static", latched=True),
                self._subscribe_to_tf("/tf"),
            ]
        self._info = FollowingSubscription(node, CameraInfo, thermal_info_topic, self._take_thermal)
        use(ThermalRegistration(options))

    def missing(self) -> str:
        """Return a description of missing parts; empty once there is a calibration."""
        return "" if self._rig.calibration is not None else self._rig.missing()

    def registration(self) -> ThermalRegistration:
        """Return the registration; it is not ready while parts are missing."""
        return ThermalRegistration(self._options, self._rig.calibration)

    def reload(self) -> None:
        """Read the calibration file again, where a part comes from one.

        Raises:
            ValueError: it can no longer be used.
        """
        self._rig.declare(*declared_parts(self._options))
        self._update()

    def follow(self) -> None:
        """Adapt to publishers and moving transforms; to be called about once each second."""
        self._info.follow()
        self._update()

    def close(self) -> None:
        """Destroy the subscriptions."""
        self._info.close()
        for subscription in self._tf:
            self._node.destroy_subscription(subscription)

    def take_visible(self, message: CameraInfo) -> None:
        """Process the visible camera's camera_info."""
        if self._has_changed("visible", message):
            self._rig.visible = _camera(message)
            self._update()

    def _take_thermal(self, message: CameraInfo) -> None:
        if self._has_changed("thermal", message):
            self._rig.thermal = _camera(message)
            self._update()

    def _has_changed(self, name: str, message: CameraInfo) -> bool:
        """Whether the camera_info, which arrives with every frame, differs from the last one."""
        before, self._newest_info[name] = self._newest_info.get(name), _content(message)
        return before != self._newest_info[name]

    def _subscribe_to_tf(self, topic: str, *, latched: bool = False) -> Any:
        if TFMessage is None:
            raise ModuleNotFoundError(
                "registration_source is 'tf', which needs the package tf2_msgs, and it is not "
                "installed; allowed without it: 'file', 'camera_info'"
            )
        quality = QoSProfile(
            depth=_TF_DEPTH,
            reliability=ReliabilityPolicy.RELIABLE,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
        )
        take = self._take_static if latched else self._take_moving
        return self._node.create_subscription(TFMessage, topic, take, quality)

    def _take_static(self, message: Any) -> None:
        self._take_moving(message)
        self._update()

    def _take_moving(self, message: Any) -> None:
        for stamped in message.transforms:
            move, turn = stamped.transform.translation, stamped.transform.rotation
            try:
                self._rig.tree.put(
                    stamped.header.frame_id,
                    stamped.child_frame_id,
                    (move.x, move.y, move.z),
                    (turn.x, turn.y, turn.z, turn.w),
                )
            except GeometryError as error:
                if not self._has_warned:
                    self._has_warned = True
                    warning_line(self._node)(
                        f"transform of {stamped.child_frame_id} ignored: {error}"
                    )

    def _update(self) -> None:
        if not self._rig.update():
            return
        rig, visible, thermal = self._rig.calibration, self._rig.visible, self._rig.thermal
        assert rig is not None
        assert visible is not None
        assert thermal is not None
        info_line(self._node)(
            f"calibration from {self._options.source}: visible {rig.visible.size} in "
            f"{visible.frame_id}, thermal {rig.thermal.size} in "
            f"{thermal.frame_id}, {rig.baseline_m * 1000:.0f} mm apart; registered "
            f"for {rig.distance_m:g} m"
        )
        registration = self.registration()
        for doubt in registration_doubts(registration):
            warning_line(self._node)(f"doubtful calibration: {doubt}")
        self._use(registration)


def _content(message: CameraInfo) -> tuple:
    """Return the fields that `_camera` uses, in a form that is cheap to compare."""
    roi = message.roi
    return (
        message.header.frame_id,
        *(message.width, message.height, message.binning_x, message.binning_y),
        *(roi.x_offset, roi.y_offset, roi.width, roi.height),
        *(message.distortion_model, *message.k, *message.d),
    )


def _camera(message: CameraInfo) -> LiveCamera:
    """Return the camera of the published images, which may be a binned part of the sensor."""
    roi, binning = message.roi, (max(message.binning_x, 1), max(message.binning_y, 1))
    matrix = np.array(message.k, np.float64).reshape(3, 3)
    matrix[:2, 2] -= roi.x_offset, roi.y_offset
    matrix[:2] /= np.array(binning)[:, None]
    width, height = roi.width or message.width, roi.height or message.height
    try:
        size = Size(width // binning[0], height // binning[1])
        model = camera_from_info(
            width=size.width,
            height=size.height,
            k=matrix,
            d=message.d,
            distortion_model=message.distortion_model,
        )
    except GeometryError as error:
        return LiveCamera(None, message.header.frame_id, str(error))
    return LiveCamera(model, message.header.frame_id)
