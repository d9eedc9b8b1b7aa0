# SPDX-License-Identifier: Apache-2.0
"""`thermal_registered/*` over DDS: pixels, headers, and camera rate beside a slower thermal one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rclpy.qos import QoSProfile
from rig import Rig, header
from sensor_msgs.msg import CameraInfo, Image

from fusion_ros.nodes.fuse.registered_thermal import counts_encoding

pytestmark = pytest.mark.ros

HERE = Path(__file__).parents[1]
EXAMPLES = HERE.parents[1] / "examples"
DEEP = QoSProfile(depth=50)
MS = 1_000_000
NUMPY_TYPES = {"mono8": np.uint8, "mono16": np.uint16, "32FC1": np.float32}


def subscribed(rig: Rig, kind: type, topic: str) -> list:
    """Return the list that receives the topic's messages."""
    kept: list = []
    rig.listener.create_subscription(kind, topic, kept.append, DEEP)
    rig.ros.spin_until(lambda: rig.node.count_subscribers(topic) == 1, f"{topic} is subscribed")
    return kept


def array_of(message: Image) -> np.ndarray:
    flat = np.frombuffer(message.data, NUMPY_TYPES[message.encoding])
    return flat.reshape(message.height, message.width)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_counts_are_on_the_visible_grid_with_the_header_of_the_fused_image(ros, kind):
    rig = Rig(ros)
    camera = CameraInfo(width=64, height=48, header=header(900, "visible_optical"))
    rig.info.publish(camera)
    ros.spin_until(rig.knows_camera, "the node knows its camera")
    images = subscribed(rig, Image, "thermal_registered/image_raw")
    infos = subscribed(rig, CameraInfo, "thermal_registered/camera_info")
    counts = (np.arange(24 * 32) % 251).reshape(24, 32).astype(kind)

    rig.send_visible(1000)
    rig.send_thermal(1000, counts)
    rig.wait_for_fused(1)
    ros.spin_until(lambda: images and infos, "image and camera_info came")

    encoding = {np.uint8: "mono8", np.uint16: "mono16", np.float32: "32FC1"}[kind]
    assert images[0].encoding == encoding
    assert images[0].header == infos[0].header == rig.fused[0].header
    assert np.array_equal(array_of(images[0]), counts.repeat(2, axis=0).repeat(2, axis=1))


def test_temperatures_are_published_where_the_unit_is_known(ros):
    rig = Rig(ros, {"tone_unit": "centikelvin"})
    images = subscribed(rig, Image, "thermal_registered/temperature")
    kelvin = np.full((48, 64), 30015, np.uint16)
    rig.send_visible(1000)
    rig.send_thermal(1000, kelvin)
    ros.spin_until(lambda: bool(images), "a temperature image came")
    assert images[0].encoding == "32FC1"
    assert array_of(images[0]) == pytest.approx(27.0, abs=1e-3)


def test_without_a_unit_the_log_has_the_reason_once_and_fusing_continues(ros, capfd):
    rig = Rig(ros)
    images = subscribed(rig, Image, "thermal_registered/temperature")
    for stamp_ms in (1000, 1033):
        rig.send_pair(stamp_ms)
    rig.wait_for_fused(2)
    assert images == []
    assert rig.counts()["visible"]["rejected"] == 0
    assert capfd.readouterr().err.count("tone_unit") == 1


def test_lazy_nodes_work_for_a_subscriber_of_the_registered_image_alone(ros):
    rig = Rig(ros, {"lazy": True}, activate=False)
    for subscription in list(rig.listener.subscriptions):
        rig.listener.destroy_subscription(subscription)
    rig.node.trigger_configure()
    rig.node.trigger_activate()
    images = subscribed(rig, Image, "thermal_registered/image_raw")
    rig.send_until(rig.send_pair, lambda: bool(images), "a registered thermal image came")


@pytest.mark.parametrize(
    ("declared", "kind", "encoding"),
    [
        ("16UC1", np.uint16, "16UC1"),
        ("16UC1; png compressed", np.uint16, "16UC1"),
        ("mono16", np.uint16, "mono16"),
        ("png", np.uint16, "mono16"),
        ("8UC1", np.uint8, "mono8"),
        ("rgb8", np.uint8, "mono8"),
        ("32FC1", np.float32, "32FC1"),
    ],
)
def test_the_encoding_is_the_camera_s_own(declared, kind, encoding):
    assert counts_encoding(declared, np.zeros((2, 2), kind)) == encoding


def test_another_process_receives_rgbt_at_camera_rate_beside_a_9_hz_thermal_camera(ros, tmp_path):
    """Visible 30 Hz, thermal 9 Hz; every frame's value is its number."""
    rig = Rig(ros, {"tone_unit": "centikelvin"})
    out = tmp_path / "heard.npz"
    command = [sys.executable, str(HERE / "rgbt_listener.py"), str(EXAMPLES), "60", str(out)]
    listener = subprocess.Popen(command)
    try:
        ros.spin_until(
            lambda: rig.node.count_subscribers("thermal_registered/temperature") == 2,
            "the other process subscribes",
            timeout_s=60.0,
        )
        sent: dict[str, list[float]] = {"visible": [], "thermal": []}

        def send() -> None:
            """Send a visible frame after the thermal frames that a camera sent before it."""
            number = len(sent["visible"])
            stamp_ms = 1000 + number * 1000 / 30
            while (thermal_ms := 1008 + len(sent["thermal"]) * 1000 / 9) < stamp_ms:
                counts = np.full((24, 32), 30000 + len(sent["thermal"]), np.uint16)
                rig.send_thermal(thermal_ms, counts)
                sent["thermal"].append(thermal_ms)
            rig.send_visible(stamp_ms, np.full((48, 64, 3), (number % 256, 20, 30), np.uint8))
            sent["visible"].append(stamp_ms)

        rig.cameras.create_timer(1 / 30, send)
        ros.spin_until(
            lambda: listener.poll() is not None,
            lambda: f"60 tensors were received: {rig.counts()}",
            timeout_s=60.0,
        )
        assert listener.returncode == 0
    finally:
        if listener.poll() is None:
            listener.kill()
    with np.load(out) as heard:
        tensors, counts = heard["tensors"], heard["counts"]
        stamps = {topic: heard[topic] for topic in heard.files}
    assert list(stamps["frames"]) == ["visible_optical"]
    assert tensors.shape[1:] == (4, 48, 64)
    visible_ns = np.round(np.array(sent["visible"]) * MS).astype(np.int64)
    thermal_ns = np.round(np.array(sent["thermal"]) * MS).astype(np.int64)
    numbers = np.rint(tensors[:, 0, 0, 0] * 255).astype(int)
    assert np.array_equal(visible_ns[numbers], stamps["tensor_stamps"])
    celsius = tensors[:, 3, 0, 0] * 140.0 - 20.0
    held = np.rint((celsius + 273.15) * 100 - 30000).astype(int)
    for tensor, number, thermal in zip(tensors, numbers, held, strict=True):
        flat = [number / 255, 20 / 255, 30 / 255, ((30000 + thermal) / 100 - 253.15) / 140]
        np.testing.assert_allclose(
            tensor, np.broadcast_to(flat, (48, 64, 4)).transpose(2, 0, 1), atol=1e-4
        )
    ages_ms = (visible_ns[numbers] - thermal_ns[held]) / MS
    assert np.abs(ages_ms).max() <= 1.5 * 1000 / 9 + 1
    assert set(stamps["thermal_registered_temperature"]) <= set(stamps["fused_image_raw"]) | {
        stamps["thermal_registered_temperature"][-1]
    }
    assert len({int(image.min()) for image in counts}) >= 5
    assert all(image.min() == image.max() for image in counts)
    visible = rig.counts()["visible"]
    assert visible["held"] > visible["fused"] > 0
    assert visible["unpaired"] <= 10 * 30 / 9  # until the thermal camera's rate is known
