# SPDX-License-Identifier: Apache-2.0
"""Writer of image bags without ROS, for `fusion-ros record` and the fused images of a replay."""

from __future__ import annotations

import sqlite3
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from fusion_ros.files.interrupts import DeferredInterrupts
from fusion_ros.imaging.compressed import encode_jpeg
from fusion_ros.imaging.encodings import ChannelOrder, PixelFrame, encode
from fusion_ros.outside_text import error_line
from fusion_ros.recordings.bags.mcap_records import (
    CHUNK,
    CHUNK_HEAD,
    MAGIC,
    FileSource,
    text_at,
    walk,
)
from fusion_ros.recordings.recording import RecordingError
from fusion_ros.streams.stamps import NS_PER_S

COMMIT_EVERY_S = 1.0
_CHECKSUM_AT = 24  # in the content of a chunk record
IMAGE, COMPRESSED_IMAGE = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"


class IncompleteBagError(RecordingError):
    """Error of a bag that was not written completely; it names the bag."""


class BagWriter:
    """Context manager that writes images to a new ROS 2 bag.

    Ctrl-C takes effect between two messages, since an interrupted write leaves messages twice.

    Args:
        path: folder of the bag; it must not exist.
        storage: "mcap" or "sqlite3".
        compression: "message" or "file" for zstd over each of these, or "none".

    Raises:
        RecordingError: the folder exists, or `rosbags` is missing.
        IncompleteBagError: a message or the end of the bag cannot be written (a full disk).
    """

    def __init__(self, path: Path, *, storage: str = "mcap", compression: str = "none") -> None:
        try:
            from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
            from rosbags.typesys import Stores, get_typestore
        except ImportError as error:
            text = "writing bags needs the package rosbags: pip install rosbags"
            raise RecordingError(text) from error
        if path.exists():
            raise RecordingError(f"{path} exists; name a new folder; bags are never overwritten")
        self.path = path
        self._types = get_typestore(Stores.ROS2_HUMBLE)
        self._writer = Writer(path, version=8, storage_plugin=StoragePlugin[storage.upper()])
        if compression != "none":
            self._writer.set_compression(
                CompressionMode[compression.upper()], CompressionFormat.ZSTD
            )
        self._connections: dict[str, Any] = {}
        self.messages = 0
        self._committed_s = time.monotonic()
        self._interrupts = DeferredInterrupts()

    def __enter__(self) -> BagWriter:
        self._interrupts.__enter__()
        try:
            self._writer.open()
        except (OSError, sqlite3.Error) as error:
            self._interrupts.__exit__()
            raise self._incomplete(error) from error
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            # Also after Ctrl-C, so that the bag is complete.
            with self._interrupts.held():
                self._writer.close()
                for file in self.path.glob("*.mcap"):
                    _add_checksums(file)
        except (OSError, sqlite3.Error) as close_error:
            if error is None:  # else the error of the body is the cause
                raise self._incomplete(close_error) from close_error
        finally:
            self._interrupts.__exit__()

    def _incomplete(self, error: BaseException) -> IncompleteBagError:
        return IncompleteBagError(f"{self.path}: the bag is incomplete ({error_line(error)})")

    def image(self, topic: str, frame: PixelFrame, **header: Any) -> None:
        """Write one image as `sensor_msgs/Image`.

        `header` holds stamp_ns, and optionally log_ns (default: the stamp) and frame_id.
        """
        encoding = encoding_of(frame)
        order = ChannelOrder.RGB if frame.order is ChannelOrder.GREY else frame.order
        data, step = encode(frame.pixels, encoding, order=order)
        height, width = frame.pixels.shape[:2]
        fields = {"encoding": encoding, "height": height, "width": width, "step": step}
        self.raw_image(topic, data, **fields, **header)

    def raw_image(self, topic: str, data: np.ndarray, **fields: Any) -> None:
        """Write an image message with the given fields, without checks; header as in `image`."""
        names = ("stamp_ns", "log_ns", "frame_id")
        header = {name: fields.pop(name) for name in names if name in fields}
        self._write(topic, IMAGE, {**fields, "is_bigendian": 0, "data": data}, **header)

    def jpeg(
        self, topic: str, frame: PixelFrame, *, quality_percent: int = 90, **header: Any
    ) -> None:
        """Write one `uint8` image as `sensor_msgs/CompressedImage`; `header` as in `image`."""
        grey = frame.order is ChannelOrder.GREY
        fields = {
            "format": "mono8; jpeg compressed mono8" if grey else "rgb8; jpeg compressed bgr8",
            "data": encode_jpeg(frame.pixels, frame.order, quality_percent=quality_percent),
        }
        self._write(topic, COMPRESSED_IMAGE, fields, **header)

    def can_write(self, message_type: str) -> bool:
        """Whether the definition of a message type, which a bag must contain, is available."""
        return message_type in self._types.types

    def serialised(
        self, topic: str, message_type: str, data: bytes | memoryview, log_ns: int
    ) -> None:
        """Write a serialised message (CDR).

        Raises:
            IncompleteBagError: it cannot be written.
        """
        try:
            with self._interrupts.held():
                if topic not in self._connections:
                    self._connections[topic] = self._writer.add_connection(
                        topic, message_type, typestore=self._types
                    )
                self._writer.write(self._connections[topic], log_ns, data)
                self.messages += 1
                self._commit()
        except (OSError, sqlite3.Error) as error:
            raise self._incomplete(error) from error

    def _write(
        self,
        topic: str,
        kind: str,
        fields: dict[str, Any],
        *,
        stamp_ns: int,
        log_ns: int | None = None,
        frame_id: str = "camera",
    ) -> None:
        types = self._types.types
        stamp = types["builtin_interfaces/msg/Time"](*divmod(stamp_ns, NS_PER_S))
        header = types["std_msgs/msg/Header"](stamp=stamp, frame_id=frame_id)
        data = self._types.serialize_cdr(types[kind](header=header, **fields), kind)
        self.serialised(topic, kind, data, stamp_ns if log_ns is None else log_ns)

    def _commit(self) -> None:
        """Write messages to the disk periodically, for the case that the process is killed.

        rosbags commits an sqlite3 bag only on closing, and fills a chunk of an mcap bag with 1 MB,
        which takes minutes with small images.
        """
        now_s = time.monotonic()
        if now_s - self._committed_s < COMMIT_EVERY_S:
            return
        self._committed_s = now_s
        storage: Any = self._writer.storage
        if hasattr(storage, "conn"):
            storage.conn.commit()
        else:
            if storage.chunk.msgs:
                storage.close_chunk()
            storage.bio.flush()


def encoding_of(frame: PixelFrame) -> str:
    """Return the encoding of an image message that holds the pixels unchanged."""
    if frame.order is not ChannelOrder.GREY:
        return f"{frame.order.value}8"
    return {"uint8": "mono8", "uint16": "mono16", "float32": "32FC1"}[str(frame.pixels.dtype)]


def _add_checksums(path: Path) -> None:
    """Add the checksum of every uncompressed mcap chunk without one; rosbags writes none.

    Without a checksum, changed bytes inside an image cannot be detected. A checksum of 0 means
    "none", so an interruption leaves a valid file.
    """
    source = FileSource(path)
    try:
        with path.open("r+b") as file:
            for record in walk(source.read, len(MAGIC), source.size, lambda first, last: None):
                if record.opcode != CHUNK:
                    continue
                content = source.read(record.at, record.size)
                checksum = CHUNK_HEAD.unpack_from(content)[3]
                kind, place = text_at(content, CHUNK_HEAD.size)
                if checksum or kind:
                    continue
                file.seek(record.at + _CHECKSUM_AT)
                file.write(struct.pack("<I", zlib.crc32(memoryview(content)[place + 8 :])))
    finally:
        source.close()
