# SPDX-License-Identifier: Apache-2.0
"""A subscription whose reliability follows that of the publishers.

A subscriber that requests more reliability than a publisher offers receives nothing; one that
requests less loses frames. So the reliability is taken from the existing publishers and checked
again while the node runs, as in topic_tools' `tool_base_node.cpp`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.node import NodeNameNonExistentError
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from fusion_ros.nodes.runtime.log_lines import info_line
from fusion_ros.nodes.runtime.rclpy_compatibility import take_waiting

QUEUE_DEPTH = 5
"""Messages that may wait for the executor, as in sensor-data QoS."""

_NAMED = {
    "reliable": ReliabilityPolicy.RELIABLE,
    "best_effort": ReliabilityPolicy.BEST_EFFORT,
}


def image_quality(reliability: str, *, depth: int = QUEUE_DEPTH) -> QoSProfile:
    """Return a volatile, keep-last QoS: old images are of no use to a late subscriber.

    `reliability` is "reliable" or "best_effort"; `depth` is a number of messages.
    """
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=_NAMED[reliability],
        durability=DurabilityPolicy.VOLATILE,
    )


class FollowingSubscription:
    """Subscription that is replaced when the publishers' reliability changes.

    Args:
        message_type, topic, callback: as for `create_subscription`.
        reliability: "auto" (follow the publishers), "reliable" or "best_effort".
        depth: messages that may wait for the executor.
        raw: whether the callback takes the bytes of a message.

    Attributes:
        reliability: the one requested now, "reliable" or "best_effort".
    """

    def __init__(
        self,
        node: LifecycleNode,
        message_type: type,
        topic: str,
        callback: Callable[[Any], None],
        *,
        reliability: str = "auto",
        depth: int = QUEUE_DEPTH,
        raw: bool = False,
    ) -> None:
        self._node = node
        self._message_type = message_type
        self._topic = topic
        self._callback = callback
        self._wanted = reliability
        self._depth = depth
        self._raw = raw
        self.reliability = "best_effort"  # matches every offer, until there is a publisher
        self.reliability = self._choose()
        self._subscription = self._subscribe()

    @property
    def topic_name(self) -> str:
        """The topic with its namespace, as remapped."""
        return str(self._subscription.topic_name)

    def follow(self) -> None:
        """Check the publishers again; called about once a second."""
        chosen = self._choose()
        if chosen == self.reliability:
            return
        self.reliability = chosen
        # The new one first: the pairer counts a frame that arrives twice as a duplicate. A frame
        # between two subscriptions would be lost.
        old, self._subscription = self._subscription, self._subscribe()
        self._node.destroy_subscription(old)
        info_line(self._node)(
            f"{self.topic_name}: subscription is now {self.reliability}, as its publishers are"
        )

    def take_waiting(self) -> Any:
        """Return the oldest message that waits, or None; see `rclpy_compatibility`."""
        return take_waiting(self._subscription)

    def close(self) -> None:
        """Stop receiving."""
        self._node.destroy_subscription(self._subscription)

    @property
    def type_name(self) -> str:
        """The type of the messages in ROS form, such as "sensor_msgs/msg/Image"."""
        return f"{self._message_type.__module__.split('.')[0]}/msg/{self._message_type.__name__}"

    def publisher_count(self) -> int:
        """Return the number of publishers of this type on the topic."""
        return sum(info.topic_type == self.type_name for info in self._publishers())

    def other_types(self) -> tuple[str, ...]:
        """Return other types that are published on the topic."""
        types = {info.topic_type for info in self._publishers()} - {self.type_name}
        return tuple(sorted(types))

    def topics_of_type(self) -> tuple[str, ...]:
        """Return the topics on which other nodes publish messages of this type."""
        node, found = self._node, set()
        for other in node.get_node_names_and_namespaces():
            if other == (node.get_name(), node.get_namespace()):
                continue
            with contextlib.suppress(NodeNameNonExistentError):  # it ended meanwhile
                published = node.get_publisher_names_and_types_by_node(*other)
                found |= {topic for topic, types in published if self.type_name in types}
        return tuple(sorted(found))

    def _publishers(self) -> list[Any]:
        resolved = self._node.resolve_topic_name(self._topic)
        return list(self._node.get_publishers_info_by_topic(resolved))

    def _choose(self) -> str:
        if self._wanted != "auto":
            return self._wanted
        offers = [
            info.qos_profile.reliability
            for info in self._publishers()
            if info.topic_type == self.type_name
        ]
        if not offers:
            return self.reliability
        reliable = all(offer == ReliabilityPolicy.RELIABLE for offer in offers)
        return "reliable" if reliable else "best_effort"

    def _subscribe(self) -> Any:
        return self._node.create_subscription(
            self._message_type,
            self._topic,
            self._callback,
            image_quality(self.reliability, depth=self._depth),
            raw=self._raw,
        )
