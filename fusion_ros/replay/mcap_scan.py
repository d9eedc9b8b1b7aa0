# SPDX-License-Identifier: Apache-2.0
"""Reads an mcap file from front to back, without its index: for files whose end is missing.

A recorder that lost power leaves no index, and often half a chunk. Everything up to the cut is
given out, the whole messages of the last, broken chunk included. Format: mcap.dev/spec.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from fusion_ros.replay.scanning import ScannedMessage, scan

MAGIC = b"\x89MCAP0\r\n"
_SCHEMA, _CHANNEL, _MESSAGE, _CHUNK = 0x03, 0x04, 0x05, 0x06
_PIECE = 1 << 16


def scan_mcap(
    path: Path, damaged: Callable[[str], object], *, after_ns: int = -1
) -> Iterator[ScannedMessage]:
    """See `scan`."""
    records = _Scan(damaged).records
    return scan(path, MAGIC, "an mcap file", records, damaged, after_ns=after_ns)


class _Scan:
    def __init__(self, damaged: Callable[[str], object]) -> None:
        self._damaged = damaged
        self._types: dict[int, str] = {}
        self._channels: dict[int, tuple[str, str]] = {}

    def records(
        self, file: BinaryIO, end: int, *, in_chunk: bool = False
    ) -> Iterator[ScannedMessage]:
        while file.tell() + 9 <= end:
            at = file.tell()
            op, size = struct.unpack("<BQ", file.read(9))
            if at + 9 + size > end:
                where = "inside a chunk" if in_chunk else f"at byte {at} of {end}"
                self._damaged(f"it ends in the middle of a record {where}")
                if op == _CHUNK:
                    yield from self._chunk(file.read(end - at - 9), whole=False)
                return
            if op in (_SCHEMA, _CHANNEL, _MESSAGE, _CHUNK):
                record = file.read(size)
                try:
                    if op == _MESSAGE:
                        yield from self._message(record)
                    elif op == _CHUNK:
                        yield from self._chunk(record, whole=True)
                    else:
                        self._learn(op, record)
                except (struct.error, UnicodeDecodeError, KeyError) as error:
                    self._damaged(f"a record at byte {at} makes no sense ({error})")
            else:
                file.seek(size, 1)

    def _learn(self, op: int, record: bytes) -> None:
        if op == _SCHEMA:
            (number,) = struct.unpack_from("<H", record)
            self._types[number] = _string(record, 2)
        else:
            number, schema = struct.unpack_from("<HH", record)
            self._channels[number] = (_string(record, 4), self._types.get(schema, ""))

    def _message(self, record: bytes) -> Iterator[ScannedMessage]:
        channel, _, log_ns, _ = struct.unpack_from("<HIQQ", record)
        topic, kind = self._channels[channel]
        yield topic, kind, log_ns, record[22:]

    def _chunk(self, record: bytes, *, whole: bool) -> Iterator[ScannedMessage]:
        try:
            name = _string(record, 28)
        except struct.error:
            return
        body = record[32 + len(name) + 8 :]
        unpacked, error = _decompress(body, name)
        if error and whole:
            self._damaged(f"a chunk could not be decompressed to its end ({error})")
        yield from self.records(BytesIO(unpacked), len(unpacked), in_chunk=True)


def _string(record: bytes, at: int) -> str:
    (length,) = struct.unpack_from("<I", record, at)
    if at + 4 + length > len(record):
        raise struct.error("a text is longer than its record")
    return record[at + 4 : at + 4 + length].decode()


def _decompress(data: bytes, name: str) -> tuple[bytes, str]:
    """As much as can be had, and what stopped it."""
    if not name:
        return data, ""
    if name == "lz4":
        from lz4.frame import LZ4FrameDecompressor as Decompressor
    elif name == "zstd":
        try:
            from compression.zstd import ZstdDecompressor as Decompressor
        except ImportError:
            from backports.zstd import ZstdDecompressor as Decompressor
    else:
        return b"", f"unknown compression {name!r}"
    machine, pieces = Decompressor(), []
    try:
        for at in range(0, len(data), _PIECE):
            piece = machine.decompress(data[at : at + _PIECE])
            pieces.append(piece)
    except Exception as error:  # each library has errors of its own
        return b"".join(pieces), f"{type(error).__name__}: {error}"
    return b"".join(pieces), ""
