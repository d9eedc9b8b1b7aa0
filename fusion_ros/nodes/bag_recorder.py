# SPDX-License-Identifier: Apache-2.0
"""Record live topics into a bag without the ros2 CLI: `fusion-ros record --live`.

Messages are written serialised as they arrive, with the time of arrival.
"""

from __future__ import annotations

import contextlib
import importlib
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSProfile,
    ReliabilityPolicy,
    qos_profile_sensor_data,
)

from fusion_ros.nodes.runtime.executor import NodeExecutor
from fusion_ros.nodes.runtime.log_lines import warning_line
from fusion_ros.nodes.runtime.stopping import limited_clean_up
from fusion_ros.recordings.bags.writer import BagWriter

_LATCHED = QoSProfile(
    history=HistoryPolicy.KEEP_ALL,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
"""For topics whose publishers keep messages for late subscribers, such as /tf_static."""
_SEARCH_PERIOD_S = 0.5


class BagRecorder(Node):
    """Node that subscribes to each topic once it has a publisher, and writes its messages."""

    def __init__(
        self, bag: BagWriter, topics: Sequence[str], context: Context | None = None
    ) -> None:
        super().__init__("bag_recorder", context=context)
        self.counts: Counter[str] = Counter(dict.fromkeys(topics, 0))
        self._bag = bag
        self._wanted = set(topics)
        self._subscribe_to_published()
        # A steady clock: a simulation may be paused while topics appear.
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(_SEARCH_PERIOD_S, self._subscribe_to_published, clock=clock)

    def _subscribe_to_published(self) -> None:
        for topic, types in self.get_topic_names_and_types():
            publishers = self.get_publishers_info_by_topic(topic) if topic in self._wanted else ()
            if not publishers:
                continue
            self._wanted.discard(topic)
            message_class = _message_class(types[0])
            if message_class is None or not self._bag.can_write(types[0]):
                reason = "not installed" if message_class is None else "not storable in this bag"
                warning_line(self)(f"{topic} is not recorded: its type {types[0]} is {reason}")
                continue
            latched = all(
                publisher.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
                for publisher in publishers
            )
            quality = _LATCHED if latched else qos_profile_sensor_data
            self._subscribe(topic, types[0], message_class, quality)

    def _subscribe(self, topic: str, kind: str, message_class: type, qos: QoSProfile) -> None:
        def take(raw: bytes) -> None:
            self._bag.serialised(topic, kind, bytes(raw), self.get_clock().now().nanoseconds)
            self.counts[topic] += 1

        options: dict[str, Any] = {"raw": True}
        self.create_subscription(message_class, topic, take, qos, **options)


def _message_class(kind: str) -> type | None:
    """Return the class of a type such as "sensor_msgs/msg/Image"; None if it is not installed."""
    package, _, name = kind.split("/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name, None)
    except ImportError:
        return None


def record_live(
    out: Path,
    topics: Sequence[str],
    *,
    seconds: float | None,
    storage: str,
    compression: str,
) -> dict[str, int]:
    """Record until Ctrl-C or for a number of seconds, and return the messages by topic.

    Raises:
        RecordingError: the bag's folder exists.
    """
    executor = node = None
    try:
        with (
            BagWriter(out, storage=storage, compression=compression) as bag,
            contextlib.suppress(KeyboardInterrupt, ExternalShutdownException),
        ):
            rclpy.init()
            executor = NodeExecutor()
            node = BagRecorder(bag, topics)
            executor.add_node(node)
            until = None if seconds is None else time.monotonic() + seconds
            while rclpy.ok() and (until is None or time.monotonic() < until):
                executor.spin_once(timeout_sec=0.1)
        return {} if node is None else dict(node.counts)
    finally:  # after the bag is whole, since the middleware may not return
        with limited_clean_up():
            if executor is not None:
                executor.shutdown()
            if node is not None:
                node.destroy_node()
            rclpy.try_shutdown()
