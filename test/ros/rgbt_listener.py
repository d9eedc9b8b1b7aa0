# SPDX-License-Identifier: Apache-2.0
"""Process: keeps the tensors of `examples/rgbt_input.py` and the headers of the node's images.

python rgbt_listener.py EXAMPLES COUNT FILE
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image

sys.path.insert(0, sys.argv[1])
from rgbt_input import RgbtInput

TOPICS = {
    "fused/image_raw": Image,
    "thermal_registered/image_raw": Image,
    "thermal_registered/temperature": Image,
    "thermal_registered/camera_info": CameraInfo,
}


class Listener(RgbtInput):
    """Keeps everything."""

    def __init__(self) -> None:
        super().__init__()
        self.stamps: dict[str, list[int]] = {topic: [] for topic in TOPICS}
        self.frames: set[str] = set()
        self.counts: list[np.ndarray] = []
        self.tensors: list[np.ndarray] = []
        self.tensor_stamps: list[int] = []
        for topic, kind in TOPICS.items():
            self.create_subscription(
                kind, topic, lambda m, topic=topic: self._keep(topic, m), qos_profile_sensor_data
            )

    def detect(self, tensor: np.ndarray, visible: Image) -> None:
        self.tensors.append(tensor)
        self.tensor_stamps.append(_ns(visible))

    def _keep(self, topic: str, message: Any) -> None:
        self.stamps[topic].append(_ns(message))
        self.frames.add(message.header.frame_id)
        if topic == "thermal_registered/image_raw":
            assert message.encoding == "mono16"
            pixels = np.frombuffer(message.data, np.uint16)
            self.counts.append(pixels.reshape(message.height, message.width))


def _ns(message: Any) -> int:
    return int(message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec)


def main() -> None:
    rclpy.init()
    node = Listener()
    wanted = int(sys.argv[2])
    while len(node.tensors) < wanted or len(node.counts) < wanted:
        rclpy.spin_once(node)
    np.savez(
        Path(sys.argv[3]),
        tensors=np.concatenate(node.tensors),
        tensor_stamps=node.tensor_stamps,
        counts=np.stack(node.counts),
        frames=sorted(node.frames),
        **{topic.replace("/", "_"): stamps for topic, stamps in node.stamps.items()},
    )
    node.destroy_node()
    rclpy.shutdown()


if __name__ == "__main__":
    main()
