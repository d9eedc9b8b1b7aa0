# SPDX-License-Identifier: Apache-2.0
"""Interface of one bag file, common to all storage formats."""

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
    """One recorded message; `data` may be compressed, `ros1` is True for ROS 1 serialisation."""

    topic: str
    message_type: str
    log_ns: int
    data: bytes
    ros1: bool = False


class BagFile(Protocol):
    """One file of a bag.

    Attributes:
        kind: "mcap", "sqlite3" or "ros1".
        counts: messages by topic as counted by the file.
        begin_ns: lower bound of the recording times.
    """

    kind: str
    counts: dict[TopicType, int]
    begin_ns: int

    def messages(self, topics: Collection[str]) -> Iterator[BagMessage]:
        """Yield the messages of some topics by time of recording; report missing ones."""

    def close(self) -> None:
        """Close the file."""


def merged(files: Collection[BagFile], topics: Collection[str]) -> Iterator[BagMessage]:
    """Yield the messages of several files by time of recording.

    Reading of a file starts at its first time, so that one file of a split bag is open at a time.
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
    """Return a type name in ROS 2 spelling; ROS 1 writes "sensor_msgs/Image" without "msg"."""
    return re.sub(r"^(\w+)/(\w+)$", r"\1/msg/\2", name)
