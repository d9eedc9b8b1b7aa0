# SPDX-License-Identifier: Apache-2.0
"""ROS bags as recordings: ROS 2 (mcap, sqlite3; split, compressed, half-written) and ROS 1.

`rosbags` reads what is whole. What it refuses (no index, no metadata, a cut file) is read from
front to back as far as it goes, and the damage is told, never fatal.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from fusion_ros.accounting import Stream
from fusion_ros.imaging.compressed import decode_compressed
from fusion_ros.imaging.encodings import EncodingError, PixelFrame, RejectReason, decode_frame
from fusion_ros.replay.mcap_scan import scan_mcap
from fusion_ros.replay.recording import (
    Damage,
    Identity,
    RecordedFrame,
    RecordingError,
    TopicFacts,
    hash_files,
)
from fusion_ros.replay.ros1_scan import scan_ros1
from fusion_ros.replay.scanning import ScannedMessage
from fusion_ros.replay.sqlite_scan import scan_sqlite
from fusion_ros.replay.topics import choose_topics

SUFFIXES = (".mcap", ".db3", ".bag", ".active")
_SCANNERS = {".mcap": scan_mcap, ".db3": scan_sqlite, ".bag": scan_ros1, ".active": scan_ros1}
_KINDS = {".mcap": "mcap", ".db3": "sqlite3", ".bag": "ros1", ".active": "ros1"}
NS_PER_S = 1_000_000_000


class BagRecording:
    """Two image topics of one bag.

    Args:
        path: a bag's folder, or one of its files (.mcap, .db3, .bag).
        visible, thermal: topics; None is chosen by name and type.

    Raises:
        RecordingError: nothing can be read, `rosbags` is missing, or the topics are not clear.
    """

    def __init__(self, path: Path, visible: str | None = None, thermal: str | None = None) -> None:
        self.damage: list[Damage] = []
        self._parts = _parts_of(path, self.damage)
        counts: Counter[tuple[str, str]] = Counter()
        for part in self._parts:
            counts.update(part.counts())
        topics = tuple(
            TopicFacts(name, kind, count) for (name, kind), count in sorted(counts.items())
        )
        try:
            chosen_visible, chosen_thermal, why = choose_topics(topics, visible, thermal)
        except RecordingError as error:
            self.close()
            raise RecordingError(f"{path}: {error}") from None
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        digest, size = hash_files(f for f in files if f.is_file())
        self.identity = Identity(
            name=path.name,
            path=str(path),
            kind=self._parts[0].kind,
            sha256=digest,
            size_bytes=size,
            topics=topics,
            visible=chosen_visible,
            thermal=chosen_thermal,
            choice=why,
        )

    def frames(self) -> Iterator[RecordedFrame]:
        """See `Recording`."""
        streams = {
            self.identity.visible: Stream.VISIBLE,
            self.identity.thermal: Stream.THERMAL,
        }
        seen = dict.fromkeys(Stream, 0)
        parts = [part.messages(tuple(streams)) for part in self._parts]
        # Split bags follow each other, several ROS 1 bags may overlap: merged by time.
        for topic, kind, log_ns, data, ros1 in heapq.merge(*parts, key=lambda m: m[2]):
            stream = streams[topic]
            yield _as_frame(stream, seen[stream], kind, log_ns, data, ros1)
            seen[stream] += 1

    def close(self) -> None:
        """See `Recording`."""
        for part in self._parts:
            part.close()


class _Part:
    """One file, or a folder with metadata.yaml."""

    def __init__(self, path: Path, damage: list[Damage]) -> None:
        self._path = path
        self._damage = damage
        self._reader: Any = None
        self.kind = "" if path.is_dir() else _KINDS[path.suffix]
        self._ros1 = self.kind == "ros1"
        try:
            self._reader = _open_reader(path)
            if path.is_dir():
                file = next(f for f in sorted(path.iterdir()) if "".join(f.suffixes[:1]) in _KINDS)
                self.kind = _KINDS[file.suffixes[0]]
        except Exception as error:
            # rosbags raises struct errors, sqlite's and its own on files that were cut.
            if path.is_dir():
                raise RecordingError(f"{path} cannot be read as a bag: {error}") from error
            self._tell(f"it has no usable index ({error}); read from front to back")

    def counts(self) -> dict[tuple[str, str], int]:
        if self._reader is not None:
            counts: Counter[tuple[str, str]] = Counter()
            for connection in self._reader.connections:
                counts[(connection.topic, connection.msgtype)] += connection.msgcount
            return counts
        return Counter((topic, kind) for topic, kind, _, _ in self._scan(-1, lambda text: None))

    def messages(self, topics: tuple[str, ...]) -> Iterator[tuple[str, str, int, bytes, bool]]:
        last_ns = -1
        try:
            if self._reader is not None:
                wanted = [c for c in self._reader.connections if c.topic in topics]
                if not wanted:
                    return
                for connection, log_ns, data in self._reader.messages(connections=wanted):
                    last_ns = log_ns
                    yield connection.topic, connection.msgtype, log_ns, data, self._ros1
                return
        except Exception as error:
            if self._path.is_dir():
                self._tell(f"reading stopped: {type(error).__name__}: {error}")
                return
            self._tell(f"{type(error).__name__}: {error}; the rest is read from front to back")
        for topic, kind, log_ns, data in self._scan(last_ns, self._tell):
            if topic in topics:
                yield topic, kind, log_ns, data, self._ros1

    def close(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def _scan(self, after_ns: int, tell: Callable[[str], object]) -> Iterator[ScannedMessage]:
        return _SCANNERS[self._path.suffix](self._path, tell, after_ns=after_ns)

    def _tell(self, what: str) -> None:
        self._damage.append(Damage(self._path.name, what))


def _parts_of(path: Path, damage: list[Damage]) -> list[_Part]:
    if path.is_dir():
        files = sorted(f for f in path.iterdir() if f.suffix in SUFFIXES)
        if (path / "metadata.yaml").is_file():
            try:
                return [_Part(path, damage)]
            except RecordingError as error:
                if not files:
                    raise
                damage.append(Damage("metadata.yaml", str(error)))
        elif files:
            damage.append(
                Damage(path.name, "it has no metadata.yaml: the recorder did not come to its end")
            )
        if not files:
            raise RecordingError(f"{path} holds no bag ({', '.join(SUFFIXES)} or metadata.yaml)")
        return [_Part(file, damage) for file in files]
    return [_Part(path, damage)]


def _open_reader(path: Path) -> Any:
    try:
        from rosbags.rosbag1 import Reader as Ros1Reader
        from rosbags.rosbag2 import Reader as Ros2Reader
    except ImportError as error:
        raise RecordingError(
            "reading bags needs the package rosbags: pip install rosbags"
        ) from error
    reader = (Ros1Reader if path.suffix in (".bag", ".active") else Ros2Reader)(path)
    reader.open()
    return reader


def _as_frame(
    stream: Stream, index: int, kind: str, log_ns: int, data: bytes, ros1: bool
) -> RecordedFrame:
    try:
        message = _deserialize(data, kind, ros1)
        stamp = message.header.stamp
        stamp_ns = int(stamp.sec) * NS_PER_S + int(stamp.nanosec)
        compressed = kind.endswith("CompressedImage")
        encoding = str(message.format if compressed else message.encoding)
    except Exception as error:  # whatever a deserialiser does on bytes that are none of its
        problem = EncodingError(
            RejectReason.TRUNCATED, f"{len(data)} bytes are no {kind} ({type(error).__name__})"
        )
        return RecordedFrame(stream, index, log_ns, None, "", partial(_raise, problem))
    read = partial(_read_compressed if compressed else _read_raw, message)
    cdr = None if ros1 else data
    return RecordedFrame(stream, index, log_ns, stamp_ns, encoding, read, cdr)


def _deserialize(data: bytes, kind: str, ros1: bool) -> Any:
    store = _typestore(ros1)
    return store.deserialize_ros1(data, kind) if ros1 else store.deserialize_cdr(data, kind)


_stores: dict[bool, Any] = {}


def _typestore(ros1: bool) -> Any:
    """The image messages are the same in every distribution, so bags need not define them."""
    if ros1 not in _stores:
        from rosbags.typesys import Stores, get_typestore

        _stores[ros1] = get_typestore(Stores.ROS1_NOETIC if ros1 else Stores.ROS2_HUMBLE)
    return _stores[ros1]


def _read_raw(message: Any) -> PixelFrame:
    return decode_frame(
        message.data,
        encoding=message.encoding,
        height=message.height,
        width=message.width,
        step=message.step,
        is_bigendian=bool(message.is_bigendian),
    )


def _read_compressed(message: Any) -> PixelFrame:
    return decode_compressed(message.data, format=message.format)


def _raise(error: EncodingError) -> PixelFrame:
    raise error
