# SPDX-License-Identifier: Apache-2.0
"""Work only for listeners, and compressed pictures in and out, over real DDS."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from rclpy.qos import QoSProfile
from rig import Rig, header
from sensor_msgs.msg import CompressedImage, Image

pytestmark = pytest.mark.ros

DEEP = QoSProfile(depth=20)


def compressed(stamp_ms: float, pixels: np.ndarray, suffix: str, described: str) -> CompressedImage:
    written, data = cv2.imencode(suffix, pixels)
    assert written
    message = CompressedImage(header=header(stamp_ms, "camera"), format=described)
    message.data = data.tobytes()
    return message


class Compressed:
    """A rig whose cameras publish compressed pictures."""

    def __init__(self, ros, parameters=None, cli_args=None) -> None:
        self.rig = Rig(ros, parameters, cli_args=cli_args, activate=False)
        self.visible = self.rig.cameras.create_publisher(
            CompressedImage, "visible/image_raw/compressed", DEEP
        )
        self.thermal = self.rig.cameras.create_publisher(
            CompressedImage, "thermal/image_raw/compressed", DEEP
        )
        self.rig.node.trigger_configure()
        self.rig.node.trigger_activate()
        ros.spin_until(
            lambda: (
                self.visible.get_subscription_count() == 1
                and self.thermal.get_subscription_count() == 1
                and self.rig.listener.count_publishers("fused/image_raw") == 1
            ),
            "the node listens to the compressed topics",
        )


BY_PARAMETER = {"visible_transport": "compressed", "thermal_transport": "compressed"}
BY_NAME = [
    "--ros-args",
    *("-r", "visible/image_raw:=visible/image_raw/compressed"),
    *("-r", "thermal/image_raw:=thermal/image_raw/compressed"),
]


@pytest.mark.parametrize(("parameters", "cli_args"), [(BY_PARAMETER, None), ({}, BY_NAME)])
def test_compressed_cameras_are_chosen_by_parameter_or_by_the_topic_s_name(
    ros, parameters, cli_args
):
    cameras = Compressed(ros, parameters, cli_args)
    jpeg = np.full((48, 64, 3), 100, np.uint8)
    png = np.full((48, 64), 200, np.uint8)
    cameras.visible.publish(compressed(1000, jpeg, ".jpg", "rgb8; jpeg compressed bgr8"))
    cameras.thermal.publish(compressed(1000, png, ".png", "mono8; png compressed mono8"))
    (image,) = cameras.rig.wait_for_fused(1)
    assert image.header == header(1000, "camera")
    assert np.abs(np.frombuffer(image.data, np.uint8).astype(int) - 150).max() <= 1


def test_a_16_bit_png_keeps_its_counts(ros):
    cameras = Compressed(ros, {**BY_PARAMETER, "output_encoding": "mono8"})
    # 100 counts apart: the same grey after a cut to 8 bits, two clearly different ones in 16.
    counts = np.full((48, 64), 30000, np.uint16)
    counts[:, 32:] = 30100
    assert len(np.unique(counts >> 8)) == 1
    grey = np.full((48, 64), 100, np.uint8)
    cameras.visible.publish(compressed(1000, grey, ".png", "mono8; png compressed mono8"))
    cameras.thermal.publish(compressed(1000, counts, ".png", "16UC1; png compressed 16UC1"))
    (image,) = cameras.rig.wait_for_fused(1)
    pixels = np.frombuffer(image.data, np.uint8).reshape(48, 64)
    assert int(pixels[24, 60]) - int(pixels[24, 4]) >= 30


def test_the_compressed_fused_image_is_made_only_for_subscribers(ros, monkeypatch):
    from fusion_ros.nodes.fuse import outputs

    made = []
    original = outputs.encode_compressed
    monkeypatch.setattr(
        outputs, "encode_compressed", lambda *a, **k: made.append(1) or original(*a, **k)
    )
    rig = Rig(ros)
    rig.send_pair(1000)
    rig.wait_for_fused(1)
    assert not made
    came: list[CompressedImage] = []
    listening = rig.listener.create_subscription(
        CompressedImage, "fused/image_raw/compressed", came.append, DEEP
    )
    rig.send_until(rig.send_pair, lambda: bool(came), "a compressed fused image came")
    assert came[-1].format == "rgb8; jpeg compressed bgr8"
    picture = cv2.imdecode(np.frombuffer(came[-1].data, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (48, 64, 3)
    assert np.abs(picture.astype(int) - 150).max() <= 1
    rig.listener.destroy_subscription(listening)
    ros.spin_until(
        lambda: rig.node.count_subscribers("fused/image_raw/compressed") == 0,
        "there is no subscriber",
    )
    # The publisher hears of it a moment after the graph.
    before = -1

    def none_was_made() -> bool:
        nonlocal before
        quiet, before = before == len(made), len(made)
        return quiet

    fused = len(rig.fused)
    rig.send_until(
        rig.send_pair,
        lambda: len(rig.fused) >= fused + 5 and none_was_made(),
        "images are fused and none is compressed",
    )


def test_a_lazy_node_subscribes_only_while_it_has_subscribers(ros):
    rig = Rig(ros, {"lazy": True})  # the rig listens
    rig.send_pair(1000)
    rig.wait_for_fused(1)
    (image_subscription,) = (
        s for s in rig.listener.subscriptions if s.topic_name == "/fused/image_raw"
    )
    rig.listener.destroy_subscription(image_subscription)
    ros.spin_until(
        lambda: (
            rig.visible.get_subscription_count() == 0 and rig.thermal.get_subscription_count() == 0
        ),
        "the node left the cameras",
    )
    ros.spin_until(lambda: rig.status_mode() in ("idle", ""), "the status says idle")
    inferred = rig.engine.inferred
    rig.send_pair(1100)
    again: list[Image] = []
    rig.listener.create_subscription(Image, "fused/image_raw", again.append, DEEP)
    ros.spin_until(
        lambda: (
            rig.visible.get_subscription_count() == 1 and rig.thermal.get_subscription_count() == 1
        ),
        "the node came back",
    )
    assert rig.engine.inferred == inferred
    rig.send_until(rig.send_pair, lambda: bool(again), "it fuses again")


def test_a_subscriber_of_the_compressed_image_alone_wakes_a_lazy_node(ros):
    rig = Rig(ros, {"lazy": True}, activate=False)
    (image_subscription,) = (
        s for s in rig.listener.subscriptions if s.topic_name == "/fused/image_raw"
    )
    rig.listener.destroy_subscription(image_subscription)
    came: list[CompressedImage] = []
    rig.listener.create_subscription(
        CompressedImage, "fused/image_raw/compressed", came.append, DEEP
    )
    rig.node.trigger_configure()
    rig.node.trigger_activate()
    rig.send_until(rig.send_pair, lambda: bool(came), "a compressed fused image came")
