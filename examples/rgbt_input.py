#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Example: the input of an RGB-T detector, four channels from the visible camera and fusion_ros.

    python3 examples/rgbt_input.py --ros-args -r visible/image_raw:=/cam/color/image_raw \
        -p model:=detector.onnx

`thermal_registered/temperature` has the stamp of the visible frame on whose grid it is. So the two
are matched by equal stamps; nothing is interpolated in time. Without the parameter `model` the node
logs the shape and the range of its tensors. Counts instead of degrees: remap the topic to
`thermal_registered/image_raw`, and set `thermal_low` and `thermal_high` in counts.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image

MOST_WAITING = 64
"""Visible frames that wait for their thermal image."""
TYPES = {"32FC1": np.float32, "mono16": np.uint16, "16UC1": np.uint16, "mono8": np.uint8}


def rgbt_tensor(visible: Image, thermal: Image, low: float, high: float) -> np.ndarray:
    """Return 1x4xHxW float32, 0 to 1: red, green, blue, thermal from `low` to `high`.

    Pixels without thermal data are 0 in the fourth channel.
    """
    height, width = visible.height, visible.width
    rows = np.frombuffer(visible.data, np.uint8).reshape(height, visible.step)
    colour = rows[:, : 3 * width].reshape(height, width, 3)
    if visible.encoding == "bgr8":
        colour = colour[..., ::-1]
    numbers = np.frombuffer(thermal.data, TYPES[thermal.encoding]).reshape(height, width)
    share = np.clip((numbers.astype(np.float32) - low) / (high - low), 0.0, 1.0)
    channels = [*np.moveaxis(colour / np.float32(255), 2, 0), np.nan_to_num(share)]
    return np.stack(channels)[None].astype(np.float32)


class RgbtInput(Node):
    """Matches visible and registered thermal images by stamp."""

    def __init__(self, **options: Any) -> None:
        super().__init__("rgbt_input", **options)
        self._low = self.declare_parameter("thermal_low", -20.0).value
        self._high = self.declare_parameter("thermal_high", 120.0).value
        model = self.declare_parameter("model", "").value
        self._session = None
        if model:
            import onnxruntime

            self._session = onnxruntime.InferenceSession(model)
        self._visible: OrderedDict[tuple[int, int], Image] = OrderedDict()
        for topic, take in (
            ("visible/image_raw", self._take_visible),
            ("thermal_registered/temperature", self._take_thermal),
        ):
            self.create_subscription(Image, topic, take, qos_profile_sensor_data)

    def detect(self, tensor: np.ndarray, visible: Image) -> None:
        """Run the detector; `visible` has stamp and frame id for its detections."""
        if self._session is not None:
            outputs = self._session.run(None, {self._session.get_inputs()[0].name: tensor})
            shapes = [output.shape for output in outputs]
            self.get_logger().info(f"outputs {shapes}", throttle_duration_sec=1.0)
            return
        warm = tensor[0, 3]
        text = f"input {tensor.shape}, thermal channel {warm.min():.2f} to {warm.max():.2f}"
        self.get_logger().info(text, throttle_duration_sec=1.0)

    def _take_visible(self, visible: Image) -> None:
        self._visible[visible.header.stamp.sec, visible.header.stamp.nanosec] = visible
        if len(self._visible) > MOST_WAITING:
            self._visible.popitem(last=False)

    def _take_thermal(self, thermal: Image) -> None:
        stamp = thermal.header.stamp.sec, thermal.header.stamp.nanosec
        visible = self._visible.pop(stamp, None)
        if visible is not None:
            self.detect(rgbt_tensor(visible, thermal, self._low, self._high), visible)


def main() -> None:
    """Run until Ctrl-C."""
    rclpy.init()
    try:
        rclpy.spin(RgbtInput())
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
