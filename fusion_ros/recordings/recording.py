# SPDX-License-Identifier: Apache-2.0
"""What the replay reads: two image streams in the order in which they were recorded."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

from fusion_ros.imaging.encodings import PixelFrame
from fusion_ros.recordings.damage import Damage, RecordingError
from fusion_ros.streams.ledger import Stream

__all__ = [
    "Damage", "Identity", "RecordedFrame", "Recording", "RecordingError", "TopicFacts",
    "hash_files",
]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class TopicFacts:
    """One topic of a recording."""

    name: str
    message_type: str
    messages: int


@dataclasses.dataclass(frozen=True)
class RecordedFrame:
    """One message of a camera.

    Attributes:
        stream: which camera.
        index: counts the stream's messages from 0, damaged ones included.
        arrived_ns: when it was recorded.
        stamp_ns: its header's stamp; None where the message is damaged.
        encoding: the message's own word for its pixels ("rgb8", "jpeg", ...).
        read: gives the pixels; raises `EncodingError` where the message is damaged.
        cdr: the message as ROS 2 sends it, where the recording holds it so.
        name: of the frame's own file, where it has one.
        header_stamp: seconds and nanoseconds as the header has them, which need not be a time.
    """

    stream: Stream
    index: int
    arrived_ns: int
    stamp_ns: int | None
    encoding: str
    read: Callable[[], PixelFrame]
    cdr: bytes | None = None
    name: str = ""
    header_stamp: tuple[int, int] | None = None


@dataclasses.dataclass(frozen=True)
class Identity:
    """What was replayed, so that a report can be told from another.

    Attributes:
        name: short name for headings.
        path: as it was given.
        kind: "mcap", "sqlite3", "ros1", "pictures" or "videos".
        sha256: over the bytes of all files, in the order of their names.
        size_bytes: of all files.
        topics: every topic that the recording holds.
        visible, thermal: the chosen topics.
        choice: why these.
        doubts: what speaks against the pairing of these files; for people.
        is_matched: whether frames that belong together were matched beforehand and carry equal
            stamps, so that neither tolerance nor offset applies.
    """

    name: str
    path: str
    kind: str
    sha256: str
    size_bytes: int
    topics: tuple[TopicFacts, ...]
    visible: str
    thermal: str
    choice: str
    doubts: tuple[str, ...] = ()
    is_matched: bool = False

    def topic(self, stream: Stream) -> TopicFacts | None:
        """The chosen topic of a stream."""
        wanted = self.visible if stream is Stream.VISIBLE else self.thermal
        return next((t for t in self.topics if t.name == wanted), None)

    def messages(self, stream: Stream) -> int | None:
        """How many messages of a stream the recording itself says it holds."""
        topic = self.topic(stream)
        return None if topic is None else topic.messages

    def is_compressed(self, stream: Stream) -> bool:
        """Whether a stream's messages are `sensor_msgs/CompressedImage` as ROS 2 sends them."""
        topic = self.topic(stream)
        return (
            self.kind != "ros1"
            and topic is not None
            and topic.message_type.endswith("CompressedImage")
        )


class Recording(Protocol):
    """Two image streams. `frames` may be called once."""

    @property
    def identity(self) -> Identity:
        """What this is."""

    @property
    def damage(self) -> list[Damage]:
        """Damaged parts met so far; complete when `frames` is exhausted."""

    def frames(self) -> Iterator[RecordedFrame]:
        """Both streams' messages, in recorded order. One at a time is held."""

    def close(self) -> None:
        """Close the files."""


def hash_files(files: Iterable[Path]) -> tuple[str, int]:
    """SHA-256 over the bytes of files, in the given order, and their size together."""
    digest, size = hashlib.sha256(), 0
    buffer = bytearray(1 << 20)
    for file in files:
        with file.open("rb", buffering=0) as stream:
            while count := stream.readinto(buffer):
                digest.update(memoryview(buffer)[:count])
                size += count
    return digest.hexdigest(), size
