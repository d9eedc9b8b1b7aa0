# SPDX-License-Identifier: Apache-2.0
"""Reads a ROS 1 bag from front to back, without its index: for `.bag.active` and cut files.

Format: wiki.ros.org/Bags/Format/2.0.
"""

from __future__ import annotations

import bz2
import struct
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from fusion_ros.replay.scanning import ScannedMessage, scan

MAGIC = b"#ROSBAG V2.0\n"
_MESSAGE, _CHUNK, _CONNECTION = 0x02, 0x05, 0x07


def scan_ros1(
    path: Path, damaged: Callable[[str], object], *, after_ns: int = -1
) -> Iterator[ScannedMessage]:
    """See `scan`; types in ROS 2 spelling."""

    def records(file: BinaryIO, end: int) -> Iterator[ScannedMessage]:
        return _records(file, end, damaged, {})

    return scan(path, MAGIC, "a ROS 1 bag", records, damaged, after_ns=after_ns)


def _records(
    file: BinaryIO, end: int, damaged: Callable[[str], object], topics: dict[int, tuple[str, str]]
) -> Iterator[ScannedMessage]:
    while file.tell() + 4 <= end:
        at = file.tell()
        try:
            header = _fields(_sized(file, end))
            op = header[b"op"][0]
            data = _sized(file, end)
            if op == _CONNECTION:
                kind = _fields(data)[b"type"].decode()
                number = struct.unpack("<I", header[b"conn"])[0]
                topics[number] = (header[b"topic"].decode(), kind.replace("/", "/msg/", 1))
            elif op == _CHUNK:
                inner = _decompress(data, header[b"compression"])
                yield from _records(BytesIO(inner), len(inner), damaged, topics)
            elif op == _MESSAGE:
                seconds, nanoseconds = struct.unpack("<II", header[b"time"])
                number = struct.unpack("<I", header[b"conn"])[0]
                if number in topics:
                    yield (*topics[number], seconds * 10**9 + nanoseconds, data)
        except _CutError as cut:
            damaged(f"it ends in the middle of a record at byte {at} of {end}")
            if cut.rest is not None and topics is not None:
                yield from _half_chunk(cut.rest, damaged, topics)
            return
        except (KeyError, IndexError, struct.error, OSError, RuntimeError, ValueError) as error:
            damaged(f"a record at byte {at} makes no sense ({type(error).__name__}: {error})")


class _CutError(Exception):
    def __init__(self, rest: bytes | None) -> None:
        self.rest = rest


def _half_chunk(
    rest: bytes, damaged: Callable[[str], object], topics: dict[int, tuple[str, str]]
) -> Iterator[ScannedMessage]:
    """The whole messages of an uncompressed chunk that was cut."""
    if rest[4:8] and struct.unpack_from("<I", rest)[0] < 4096 and b"op=" in rest[:64]:
        yield from _records(BytesIO(rest), len(rest), lambda text: None, topics)


def _sized(file: BinaryIO, end: int) -> bytes:
    raw = file.read(4)
    if len(raw) < 4:
        raise _CutError(None)
    (size,) = struct.unpack("<I", raw)
    if file.tell() + size > end:
        raise _CutError(file.read(end - file.tell()))
    return file.read(size)


def _fields(header: bytes) -> dict[bytes, bytes]:
    fields, at = {}, 0
    while at + 4 <= len(header):
        (size,) = struct.unpack_from("<I", header, at)
        name, _, value = header[at + 4 : at + 4 + size].partition(b"=")
        fields[name] = value
        at += 4 + size
    return fields


def _decompress(data: bytes, name: bytes) -> bytes:
    if name == b"none":
        return data
    if name == b"bz2":
        return bz2.decompress(data)
    if name == b"lz4":
        from lz4.frame import decompress

        return decompress(data)
    raise ValueError(f"unknown compression {name!r}")
