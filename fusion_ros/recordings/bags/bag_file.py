# SPDX-License-Identifier: Apache-2.0
"""Interface of one file of a bag, whatever its storage."""

from __future__ import annotations

import heapq
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
        begin_ns: no message was recorded before this time.
    """

    kind: str
    counts: dict[TopicType, int]
    begin_ns: int

    def messages(self, topics: Collection[str]) -> Iterator[BagMessage]:
        """Yield the messages of some topics by the time of recording; report what is missing."""

    def close(self) -> None:
        """Release the file."""


def merged(files: Collection[BagFile], topics: Collection[str]) -> Iterator[BagMessage]:
    """Yield the messages of several files by the time of recording.

    A file is read from its first time on, so that of a split bag one file is in memory at a time.
    """
    ahead = sorted(files, key=lambda file: file.begin_ns)
    reading: list[tuple[int, int, BagMessage, Iterator[BagMessage]]] = []
    number = 0
    while ahead or reading:
        while ahead and (not reading or ahead[0].begin_ns <= reading[0][0]):
            messages = ahead.pop(0).messages(topics)
            if (first := next(messages, None)) is not None:
                heapq.heappush(reading, (first.log_ns, number, first, messages))
                number += 1
        if not reading:
            continue
        _, order, message, messages = heapq.heappop(reading)
        yield message
        if (following := next(messages, None)) is not None:
            heapq.heappush(reading, (following.log_ns, order, following, messages))


def ros2_type(name: str) -> str:
    """Return a type name in the spelling of ROS 2: "sensor_msgs/Image" has no "msg" in ROS 1."""
    return re.sub(r"^(\w+)/(\w+)$", r"\1/msg/\2", name)
