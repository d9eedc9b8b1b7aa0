# SPDX-License-Identifier: Apache-2.0
"""Interface of a recording: two image streams in recorded order, and its damage."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from pathlib import Path
from typing import Protocol

from fusion_ros.imaging.encodings import PixelFrame
from fusion_ros.streams.ledger import Stream


class RecordingError(RuntimeError):
    """Error of a recording that cannot be read at all; it names the file and the remedy."""


class DamageKind(str, Enum):
    """Kind of damage, by its consequence for the data.

    BYTES: bytes of a file are missing or changed.
    MESSAGES: fewer messages were read than the recording counts.
    UNFINISHED: the recorder did not close the recording; nothing is known to be missing.
    METADATA: a part that reading does not need is invalid or inconsistent.
    """

    BYTES = "bytes"
    MESSAGES = "messages"
    UNFINISHED = "unfinished"
    METADATA = "metadata"


@dataclasses.dataclass(frozen=True)
class Damage:
    """A part of a recording that could not be read; the rest was read.

    Attributes:
        file: name of the file, or of the recording.
        what: description for users.
        kind: see `DamageKind`.
        lost: number of messages known to be missing, else 0.
    """

    file: str
    what: str
    kind: DamageKind = DamageKind.BYTES
    lost: int = 0


DamageReporter = Callable[[DamageKind, str], object]
"""Callback that receives the damage of one file."""


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
        stream: the camera.
        index: position in its stream from 0, with damaged messages counted.
        arrived_ns: time of recording.
        stamp_ns: stamp of the header; None for a damaged message.
        encoding: encoding or format field of the message ("rgb8", "jpeg", ...).
        read: returns the pixels; raises `EncodingError` for a damaged message.
        cdr: the message in ROS 2 serialisation, where the recording holds it.
        name: name of the frame's file, if it has one.
        header_stamp: seconds and nanoseconds of the header, possibly out of range.
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
    """Description that identifies a recording in results.

    Attributes:
        name: short name for headings.
        path: path as given by the user.
        kind: "mcap", "sqlite3", "ros1", "images" or "videos".
        sha256: digest over the bytes of all files in name order.
        size_bytes: total size of all files.
        topics: all topics of the recording.
        visible, thermal: the chosen topics.
        choice: reason for this choice of topics or files.
        doubts: warnings about the pairing of these files, for users.
        is_matched: whether frames were matched beforehand and carry equal stamps, so that neither
            tolerance nor offset applies.
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

    def chosen(self, stream: Stream) -> str:
        """Return the name of a stream's topic."""
        return self.visible if stream is Stream.VISIBLE else self.thermal

    def messages(self, stream: Stream) -> int:
        """Return the number of messages of a stream by the recording's own count."""
        return self._topic(stream).messages

    def is_compressed(self, stream: Stream) -> bool:
        """Whether a stream's messages are `sensor_msgs/CompressedImage` as ROS 2 sends them."""
        return self.kind != "ros1" and self._topic(stream).message_type.endswith("CompressedImage")

    def _topic(self, stream: Stream) -> TopicFacts:
        return next(t for t in self.topics if t.name == self.chosen(stream))


class Recording(Protocol):
    """Two image streams; `frames` may be called once."""

    @property
    def identity(self) -> Identity:
        """Description of this recording."""

    @property
    def damage(self) -> list[Damage]:
        """Damaged parts found so far; complete when `frames` is exhausted."""

    def frames(self) -> Iterator[RecordedFrame]:
        """Yield the messages of both streams in recorded order, holding one at a time."""

    def close(self) -> None:
        """Close the files."""


def hash_files(files: Iterable[Path]) -> tuple[str, int]:
    """Return the SHA-256 over the bytes of the regular files in the given order, and their size."""
    digest, size = hashlib.sha256(), 0
    buffer = bytearray(1 << 20)
    for file in filter(Path.is_file, files):
        with file.open("rb", buffering=0) as stream:
            while count := stream.readinto(buffer):
                digest.update(memoryview(buffer)[:count])
                size += count
    return digest.hexdigest(), size
