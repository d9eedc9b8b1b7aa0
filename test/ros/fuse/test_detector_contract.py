# SPDX-License-Identifier: Apache-2.0
"""The contract of docs/how-to/feed-a-detector.md, checked over DDS."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rig import Rig, header, pixels
from sensor_msgs.msg import CameraInfo, Image

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

pytestmark = pytest.mark.ros

RELIABLE, BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT
STAMPS_MS = (1000.0, 1033.0, 1067.0, 1100.0)


class Detector:
    """A node that takes the fused picture and its camera_info, with a reliability of its own."""

    def __init__(self, ros: Any, reliability: ReliabilityPolicy) -> None:
        self.ros = ros
        self.images: list[Image] = []
        self.infos: list[CameraInfo] = []
        self.refused: list[Any] = []
        self.node = ros.node("detector")
        wanted = QoSProfile(depth=10, reliability=reliability)
        events = SubscriptionEventCallbacks(incompatible_qos=self.refused.append)
        for kind, name, kept in (
            (Image, "image_raw", self.images),
            (CameraInfo, "camera_info", self.infos),
        ):
            self.node.create_subscription(
                kind, f"fused/{name}", kept.append, wanted, event_callbacks=events
            )

    def wait_for_pictures(self, count: int) -> list[tuple[Image, CameraInfo]]:
        """Until so many pictures came, each with the camera_info of its stamp."""

        def all_came() -> bool:
            return len(self.images) >= count and len(self.infos) >= count

        self.ros.spin_until(all_came, f"{count} pictures and their camera_info came")
        infos = {stamp_of(info): info for info in self.infos}
        return [(image, infos[stamp_of(image)]) for image in self.images]


def stamp_of(message: Any) -> tuple[int, int]:
    """Seconds and nanoseconds, to look things up by."""
    return message.header.stamp.sec, message.header.stamp.nanosec


def rig_with_camera_info(ros: Any, parameters: dict[str, Any], detector: Detector) -> Rig:
    """A running node that knows its visible camera, and whose pictures the detector is sent."""
    rig = Rig(ros, parameters)
    camera = CameraInfo(width=64, height=48, k=[float(n) for n in range(9)], d=[0.1] * 5)
    camera.header = header(900, "visible_optical")
    rig.info.publish(camera)
    ros.spin_until(rig.knows_camera, "the node knows its camera")

    def is_heard_or_refused() -> bool:
        # The rig's own listener is the other one of each.
        return bool(detector.refused) or all(
            rig.node.count_subscribers(f"fused/{name}") == 2
            and detector.node.count_publishers(f"fused/{name}") == 1
            for name in ("image_raw", "camera_info")
        )

    ros.spin_until(is_heard_or_refused, "detector and node see each other")
    return rig


@pytest.mark.parametrize("reliability", [RELIABLE, BEST_EFFORT], ids=lambda policy: policy.name)
def test_a_detector_of_either_reliability_gets_every_image_as_if_from_the_visible_camera(
    ros: Any, reliability: ReliabilityPolicy
) -> None:
    detector = Detector(ros, reliability)
    rig = rig_with_camera_info(ros, {}, detector)

    sent = [rig.send_visible(STAMPS_MS[0])]
    for count, stamp_ms in enumerate(STAMPS_MS[1:], start=1):
        rig.send_thermal(STAMPS_MS[count - 1] + 5.0)
        sent.append(rig.send_visible(stamp_ms))  # no nearer one can come: the pair is given out
        came = detector.wait_for_pictures(count)

    assert detector.refused == []
    assert [image.header for image, _ in came] == [visible.header for visible in sent[:-1]]
    for image, info in came:
        assert image.header.frame_id == "visible_optical"
        assert (image.encoding, image.width, image.height) == ("rgb8", 64, 48)
        assert (image.step, len(image.data), image.is_bigendian) == (64 * 3, 64 * 48 * 3, 0)
        assert info.header == image.header
        assert (info.width, info.height) == (image.width, image.height)
        assert (list(info.k), list(info.d)) == ([float(n) for n in range(9)], [0.1] * 5)


@pytest.mark.parametrize(("encoding", "channels"), [("rgb8", 3), ("bgr8", 3), ("mono8", 1)])
def test_a_detector_gets_the_configured_encoding_from_any_cameras(
    ros: Any, encoding: str, channels: int
) -> None:
    detector = Detector(ros, RELIABLE)
    rig = rig_with_camera_info(ros, {"output_encoding": encoding}, detector)
    red = np.zeros((48, 64, 3), np.uint8)
    red[..., 0] = 250
    counts = np.tile(np.linspace(29_000, 31_000, 32).astype(np.uint16), (24, 1))

    rig.send_visible(1000, red)
    rig.send_thermal(1000, counts)
    ((image, _),) = detector.wait_for_pictures(1)

    assert (image.encoding, image.step) == (encoding, 64 * channels)
    if channels == 3:
        brightest = pixels(image)[:, 0].mean(axis=0).argmax()
        assert brightest == encoding.index("r")


def test_a_reliable_detector_gets_a_warning_where_the_node_offers_best_effort_alone(
    ros: Any,
) -> None:
    detector = Detector(ros, RELIABLE)
    rig = rig_with_camera_info(ros, {"output_reliability": "best_effort"}, detector)

    ros.spin_until(lambda: detector.refused, "the detector's middleware says why nothing comes")
    rig.listener.create_subscription(
        Image, "fused/image_raw", (heard := []).append, QoSProfile(depth=5, reliability=BEST_EFFORT)
    )
    rig.send_until(rig.send_pair, lambda: bool(heard), "a best-effort subscriber is served")

    assert detector.images == []
