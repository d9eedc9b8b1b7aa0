# SPDX-License-Identifier: Apache-2.0
"""Messages published as bytes, without the interpreter's lock, over real DDS."""

from __future__ import annotations

import pytest
from rclpy.lifecycle import LifecycleNode
from rclpy.serialization import serialize_message
from std_msgs.msg import String

from fusion_ros.nodes.runtime import raw_publisher

pytestmark = pytest.mark.ros


@pytest.fixture(params=["librcl", "rclpy"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways: librcl's function, and rclpy's where that cannot be found."""
    if request.param == "rclpy":
        monkeypatch.setattr(raw_publisher, "_rcl_publish", lambda: None)
    assert raw_publisher.releases_the_lock() == (request.param == "librcl")
    return str(request.param)


@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_what_is_published_as_bytes_arrives(ros, way: str, kind: type) -> None:
    came: list[String] = []
    node = ros.node("sender")
    publisher = node.create_publisher(String, "words", 5)
    ros.node("receiver").create_subscription(String, "words", came.append, 5)
    ros.spin_until(lambda: publisher.get_subscription_count() == 1, "both see each other")

    raw_publisher.publish_serialized(publisher, kind(serialize_message(String(data="a word"))))

    ros.spin_until(lambda: bool(came), "the message came")
    assert came == [String(data="a word")]


def test_a_lifecycle_publisher_is_silent_until_it_is_active(ros, way: str) -> None:
    came: list[String] = []
    node = ros.add(LifecycleNode("sender", context=ros.context))
    publisher = node.create_lifecycle_publisher(String, "words", 5)
    ros.node("receiver").create_subscription(String, "words", came.append, 5)
    ros.spin_until(lambda: publisher.get_subscription_count() == 1, "both see each other")

    raw_publisher.publish_serialized(publisher, serialize_message(String(data="inactive")))
    publisher.on_activate(None)
    raw_publisher.publish_serialized(publisher, serialize_message(String(data="active")))

    ros.spin_until(lambda: bool(came), "the message came")
    assert came == [String(data="active")]
