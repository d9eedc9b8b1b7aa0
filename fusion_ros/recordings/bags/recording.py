# SPDX-License-Identifier: Apache-2.0
"""Recordings in ROS bags: ROS 2 (mcap, sqlite3; split, compressed, unfinished) and ROS 1."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

from fusion_ros.files.limits import TooLargeError
from fusion_ros.imaging.compressed import decode_compressed
from fusion_ros.imaging.encodings import EncodingError, PixelFrame, RejectReason, decode_frame
from fusion_ros.recordings.bags.bag_file import BagFile, BagMessage, TopicType, merged
from fusion_ros.recordings.bags.bag_folder import open_bag
from fusion_ros.recordings.bags.decompression import DecompressionError, plain_message
from fusion_ros.recordings.recording import (
    Damage,
    DamageKind,
    Identity,
    RecordedFrame,
    RecordingError,
    TopicFacts,
    hash_files,
)
from fusion_ros.recordings.topics import UNKNOWN, choose_topics, shown_by
from fusion_ros.streams.ledger import Stream
from fusion_ros.streams.stamps import NS_PER_S


class BagRecording:
    """Two image topics of one bag.

    Args:
        path: folder of the bag, or one of its files.
        visible, thermal: topics; None chooses by name and type.

    Raises:
        RecordingError: no file can be read, or the choice of topics is not clear.
    """

    def __init__(self, path: Path, visible: str | None = None, thermal: str | None = None) -> None:
        self.damage: list[Damage] = []
        self._path = path
        self._files, counts = open_bag(path, self.damage)
        try:
            self.identity = self._identify(_recorded(self._files, counts), visible, thermal)
        except BaseException:
            self.close()
            raise

    def _identify(
        self, topics: tuple[TopicFacts, ...], visible: str | None, thermal: str | None
    ) -> Identity:
        path = self._path
        try:
            chosen_visible, chosen_thermal, why = choose_topics(
                topics, visible, thermal, look=self._look
            )
        except RecordingError as error:
            said = "".join(f"; {d.file}: {d.what}" for d in self.damage[:3])
            raise RecordingError(f"{path}: {error}{said}") from None
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        digest, size = hash_files(files)
        return Identity(
            name=path.name,
            path=str(path),
            kind=self._files[0].kind,
            sha256=digest,
            size_bytes=size,
            topics=topics,
            visible=chosen_visible,
            thermal=chosen_thermal,
            choice=why,
        )

    def _look(self, topic: str) -> str:
        """Return the content of a topic's first frame; damage is reported in `frames` only."""
        known = list(self.damage)
        try:
            for file in self._files:
                for message in file.messages((topic,)):
                    return shown_by(_as_frame(Stream.THERMAL, 0, message).read())
        except EncodingError:
            pass
        finally:
            self.damage[:] = known
        return UNKNOWN

    def frames(self) -> Iterator[RecordedFrame]:
        """See `Recording`."""
        streams = {self.identity.chosen(stream): stream for stream in Stream}
        seen = dict.fromkeys(Stream, 0)
        for message in merged(self._files, tuple(streams)):
            stream = streams[message.topic]
            yield _as_frame(stream, seen[stream], message)
            seen[stream] += 1
        for stream, received in seen.items():
            recorded = self.identity.messages(stream)
            if received < recorded:
                topic = self.identity.chosen(stream)
                what = f"{received} of {recorded} recorded messages of {topic} could be read"
                lost = recorded - received
                self.damage.append(Damage(self._path.name, what, DamageKind.MESSAGES, lost))

    def close(self) -> None:
        """See `Recording`."""
        for file in self._files:
            file.close()


def _recorded(files: list[BagFile], counted: dict[TopicType, int]) -> tuple[TopicFacts, ...]:
    """Return all topics with the larger of the counts of metadata.yaml and of the files.

    A larger count in metadata.yaml indicates missing files.
    """
    of_files: Counter[TopicType] = Counter()
    for file in files:
        of_files.update(file.counts)
    largest = of_files | Counter(counted)
    topics = sorted(of_files.keys() | counted.keys())
    return tuple(TopicFacts(*topic, largest[topic]) for topic in topics)


def _as_frame(stream: Stream, index: int, message: BagMessage) -> RecordedFrame:
    kind, log_ns = message.message_type, message.log_ns
    problem: EncodingError | None = None
    try:
        data = plain_message(message.data)
        store = _typestore(message.ros1)
        parse = store.deserialize_ros1 if message.ros1 else store.deserialize_cdr
        parsed = parse(data, kind)
        stamp = parsed.header.stamp
        stamp_ns = int(stamp.sec) * NS_PER_S + int(stamp.nanosec)
        compressed = kind.endswith("CompressedImage")
        encoding = str(parsed.format if compressed else parsed.encoding)
    except TooLargeError as error:
        problem = EncodingError(RejectReason.TOO_LARGE, f"the message is too large: {error}")
    except DecompressionError as error:
        text = f"the recorder compressed the message, and it is damaged ({error})"
        problem = EncodingError(RejectReason.TRUNCATED, text)
    except Exception as error:  # deserialisers raise arbitrary errors on malformed input
        text = f"{len(message.data)} bytes are no {kind} ({type(error).__name__})"
        problem = EncodingError(RejectReason.MALFORMED, text)
    if problem is not None:
        return RecordedFrame(stream, index, log_ns, None, "", partial(_raise, problem))
    if compressed:
        read = partial(decode_compressed, parsed.data, format=parsed.format)
    else:
        names = ("encoding", "height", "width", "step")
        fields = {name: getattr(parsed, name) for name in names}
        big = bool(parsed.is_bigendian)
        read = partial(decode_frame, parsed.data, **fields, is_bigendian=big)
    cdr = None if message.ros1 else data
    header_stamp = (int(stamp.sec), int(stamp.nanosec))
    return RecordedFrame(
        stream, index, log_ns, stamp_ns, encoding, read, cdr, header_stamp=header_stamp
    )


@cache
def _typestore(ros1: bool) -> Any:
    """Return built-in message definitions: image messages are equal in every distribution."""
    from rosbags.typesys import Stores, get_typestore

    return get_typestore(Stores.ROS1_NOETIC if ros1 else Stores.ROS2_HUMBLE)


def _raise(error: EncodingError) -> PixelFrame:
    raise error
