# SPDX-License-Identifier: Apache-2.0
"""Interface of one file of a bag, whatever its storage."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import NamedTuple, Protocol


class TopicType(NamedTuple):
    """A topic and the type of its messages, as "package/msg/Name"."""

    topic: str
    message_type: str


class BagMessage(NamedTuple):
    """One message as it was recorded; `data` may be compressed, `ros1` tells its serialisation."""

    topic: str
    message_type: str
    log_ns: int
    data: bytes
    ros1: bool = False


class BagFile(Protocol):
    """One file of a bag.

    Attributes:
        kind: "mcap", "sqlite3" or "ros1".
        counts: messages by topic that the file itself says it holds.
    """

    kind: str
    counts: dict[TopicType, int]

    def messages(self, topics: Collection[str]) -> Iterator[BagMessage]:
        """Yield the messages of some topics by the time of recording; report what is missing."""

    def close(self) -> None:
        """Release the file."""


def ros2_type(name: str) -> str:
    """Return a type name in the spelling of ROS 2: "sensor_msgs/Image" has no "msg" in ROS 1."""
    return re.sub(r"^(\w+)/(\w+)$", r"\1/msg/\2", name)
