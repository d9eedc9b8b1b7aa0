# SPDX-License-Identifier: Apache-2.0
"""Fallbacks for APIs that Humble's rclpy lacks (docs/explanation/distributions.md)."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import rclpy
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image

from fusion_ros.nodes import bag_player
from fusion_ros.parameters import FuseParameters

pytestmark = pytest.mark.ros


class Returned:
    """Collects fused images in place of the pass that is played."""

    def __init__(self) -> None:
        self.pictures: list[tuple[int, int]] = []

    def returned(self, stamp_ns: int, published_ns: int) -> None:
        self.pictures.append((stamp_ns, published_ns))


def test_without_message_info_ages_are_measured_to_the_arrival(monkeypatch, capfd):
    pytest.importorskip("fusion_ros.msg", reason="FusionStatus was not built")
    monkeypatch.setattr(bag_player, "has_message_info", lambda: False)
    monkeypatch.setattr(bag_player.time, "time_ns", lambda: 123)
    rclpy.init()
    recording = SimpleNamespace(identity=SimpleNamespace(is_compressed=lambda stream: False))
    player = bag_player.BagPlayer(recording, FuseParameters())
    try:
        assert "message info" in capfd.readouterr().err
        player._pass = Returned()
        publisher = player.create_publisher(Image, "fused/image_raw", QoSProfile(depth=1))
        message = Image(width=1, height=1, step=1, encoding="mono8")
        message.header.stamp.sec = 7
        message.data.frombytes(b"x")
        for _ in range(200):
            publisher.publish(message)
            player._spin(0.1)
            if player._pass.pictures:
                break
        assert player._pass.pictures[0] == (7_000_000_000, 123)
    finally:
        player.close()
        rclpy.try_shutdown()
