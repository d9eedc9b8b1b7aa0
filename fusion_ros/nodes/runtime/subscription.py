# SPDX-License-Identifier: Apache-2.0
"""A subscription whose quality of service follows the publisher's.

A subscriber that asks for more reliability than a publisher offers receives nothing at all, and one
that asks for less loses frames it could have had. So reliability is taken from the publishers that
are there, and looked at again while the node runs: a publisher that starts later, or comes back
with another offer, is followed. (After topic_tools' `tool_base_node.cpp`.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

QUEUE_DEPTH = 5
"""Messages that may wait for the executor: what sensor-data QoS keeps."""

_NAMED = {
    "reliable": ReliabilityPolicy.RELIABLE,
    "best_effort": ReliabilityPolicy.BEST_EFFORT,
}


def quality(reliability: ReliabilityPolicy, *, depth: int = QUEUE_DEPTH) -> QoSProfile:
    """Volatile, keep-last: nobody wants yesterday's picture."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=reliability,
        durability=DurabilityPolicy.VOLATILE,
    )


def named_quality(reliability: str, *, depth: int = QUEUE_DEPTH) -> QoSProfile:
    """The same by the parameter's word: "reliable" or "best_effort"."""
    return quality(_NAMED[reliability], depth=depth)


class FollowingSubscription:
    """Subscribes, and subscribes anew when the publishers' offer changes.

    Args:
        node: who subscribes.
        message_type, topic, callback: as for `create_subscription`.
        reliability: "auto" (follow the publishers), "reliable" or "best_effort".
        depth: messages that may wait for the executor.
        raw: whether the callback takes the bytes of the message instead of a message.
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
        self._reliability = self._choose()
        self._subscription = self._subscribe()

    @property
    def topic_name(self) -> str:
        """The topic with its namespace, as remapped."""
        return str(self._subscription.topic_name)

    @property
    def reliability(self) -> str:
        """What is asked for now: "reliable" or "best_effort"."""
        return next(name for name, policy in _NAMED.items() if policy == self._reliability)

    def follow(self) -> None:
        """Look at the publishers again; cheap, to be called about once a second."""
        chosen = self._choose()
        if chosen == self._reliability:
            return
        self._reliability = chosen
        # The new one first: a frame that comes in between would be lost, and one that comes
        # twice is counted as a duplicate by the pairer.
        old, self._subscription = self._subscription, self._subscribe()
        self._node.destroy_subscription(old)
        self._node.get_logger().info(
            f"{self.topic_name}: subscribed anew as {self.reliability}, as its publishers offer"
        )

    def close(self) -> None:
        """Stop receiving."""
        self._node.destroy_subscription(self._subscription)

    @property
    def type_name(self) -> str:
        """The type of the messages, as ROS writes it: "sensor_msgs/msg/Image"."""
        return f"{self._message_type.__module__.split('.')[0]}/msg/{self._message_type.__name__}"

    def publisher_count(self) -> int:
        """How many publishers of its type the topic has."""
        return sum(info.topic_type == self.type_name for info in self._publishers())

    def other_types(self) -> tuple[str, ...]:
        """Types other than its own that are published under the topic's name."""
        types = {info.topic_type for info in self._publishers()} - {self.type_name}
        return tuple(sorted(types))

    def _publishers(self) -> list[Any]:
        resolved = self._node.resolve_topic_name(self._topic)
        return list(self._node.get_publishers_info_by_topic(resolved))

    def _choose(self) -> ReliabilityPolicy:
        if self._wanted != "auto":
            return _NAMED[self._wanted]
        offers = [
            info.qos_profile.reliability
            for info in self._publishers()
            if info.topic_type == self.type_name
        ]
        if not offers:
            # Nobody there: keep what we have, or begin with what receives from everybody.
            return getattr(self, "_reliability", ReliabilityPolicy.BEST_EFFORT)
        reliable = all(offer == ReliabilityPolicy.RELIABLE for offer in offers)
        return ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT

    def _subscribe(self) -> Any:
        return self._node.create_subscription(
            self._message_type,
            self._topic,
            self._callback,
            quality(self._reliability, depth=self._depth),
            raw=self._raw,
        )
