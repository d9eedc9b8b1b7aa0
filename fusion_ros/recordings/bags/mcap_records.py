# SPDX-License-Identifier: Apache-2.0
"""Iteration over the records of an mcap file, also across damaged bytes.

Format: mcap.dev/spec. A record is an opcode (one byte), the length of its content (eight bytes)
and its content.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

MAGIC = b"\x89MCAP0\r\n"
FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, MESSAGE_INDEX = 0x02, 0x03, 0x04, 0x05, 0x06, 0x07
CHUNK_INDEX, STATISTICS, DATA_END = 0x08, 0x0B, 0x0F
MESSAGE_HEAD = struct.Struct("<HIQQ")
CHUNK_HEAD = struct.Struct("<QQQI")

_HEAD = struct.Struct("<BQ")
_LAST_OPCODE = 0x0F
_PRIVATE = 0x80
# Shortest content of a record, by opcode.
_LEAST = np.zeros(256, np.int64)
for _opcode, _size in {
    0x01: 8, FOOTER: 20, SCHEMA: 14, CHANNEL: 16, MESSAGE: 22, CHUNK: 40, MESSAGE_INDEX: 6,
    CHUNK_INDEX: 64, 0x09: 36, 0x0A: 44, STATISTICS: 46, 0x0C: 8, 0x0D: 20, 0x0E: 17, DATA_END: 4,
}.items():  # fmt: skip
    _LEAST[_opcode] = _size
_LEAST_SIZES: list[int] = _LEAST.tolist()
# Records of the data section, which the search for the next record accepts.
_SOUGHT = np.zeros(256, bool)
_SOUGHT[[SCHEMA, CHANNEL, MESSAGE, CHUNK, MESSAGE_INDEX, 0x09, 0x0C, DATA_END]] = True
_WINDOW = 2**20
_CHAIN = 3
_MOST_CANDIDATES = 20_000
"""Candidate positions that are checked one by one before the search ends."""


Read = Callable[[int, int], bytes]
"""Returns the bytes at a position: as many as requested, fewer at the end."""


class FileSource:
    """File with random access; a read opens it, also after `close`."""

    def __init__(self, path: Path) -> None:
        self.size = path.stat().st_size
        self._path = path
        self._file: BinaryIO | None = None

    def read(self, at: int, count: int) -> bytes:
        """See `Read`."""
        if self._file is None:
            self._file = self._path.open("rb")
        self._file.seek(at)
        return self._file.read(count)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


class Record(NamedTuple):
    """Opcode, position and size of the content; `cut` if it extends beyond its container."""

    opcode: int
    at: int
    size: int
    cut: bool = False


def walk(read: Read, at: int, end: int, damaged: Callable[[int, int], object]) -> Iterator[Record]:
    """Yield every record between two positions.

    Args:
        read: see `Read`.
        at, end: position of the first byte, and of the byte after the last one.
        damaged: receives first and last position of each part without records.
    """
    while at < end:
        head = read(at, _HEAD.size)
        if len(head) == _HEAD.size:
            opcode, size = _HEAD.unpack(head)
            if _fits(opcode, size, at, end):
                yield Record(opcode, at + _HEAD.size, size)
                at += _HEAD.size + size
                continue
            if opcode == CHUNK and (size := _chunk_size(read, at + _HEAD.size, end)):
                is_cut = size > end - at - _HEAD.size
                damaged(at, end if is_cut else at + _HEAD.size)
                yield Record(opcode, at + _HEAD.size, min(size, end - at - _HEAD.size), is_cut)
                at += _HEAD.size + size
                continue
        behind = find_record(read, at + 1, end)
        damaged(at, end if behind is None else behind)
        if behind is None:
            return
        at = behind


def _fits(opcode: int, size: int, at: int, end: int) -> bool:
    known = 0 < opcode <= _LAST_OPCODE or opcode >= _PRIVATE
    return known and _LEAST_SIZES[opcode] <= size <= end - at - _HEAD.size


def _chunk_size(read: Read, at: int, end: int) -> int:
    """Return the size of a chunk with a truncated record or a wrong length; 0 if it is no chunk."""
    head = read(at, min(CHUNK_HEAD.size + 16, end - at))
    for name in (b"zstd", b"lz4", b""):
        names = struct.pack("<I", len(name)) + name
        place = CHUNK_HEAD.size + len(names)
        if head[CHUNK_HEAD.size : place] != names or len(head) < place + 8:
            continue
        begin_ns, end_ns, _, _ = CHUNK_HEAD.unpack_from(head)
        (packed_size,) = struct.unpack_from("<Q", head, place)
        return place + 8 + packed_size if begin_ns <= end_ns else 0
    return 0


def find_record(read: Read, at: int, end: int) -> int | None:
    """Return the next position at which several records follow each other, or None."""
    tried = 0
    while at + _HEAD.size <= end:
        window = np.frombuffer(read(at, min(_WINDOW, end - at)), np.uint8)
        places = window.size - _HEAD.size + 1
        if places <= 0:
            return None
        sizes = sum(window[1 + n : 1 + n + places].astype(np.int64) << (8 * n) for n in range(4))
        high = window[5 : 5 + places].copy()
        for n in range(6, 9):
            high |= window[n : n + places]
        opcodes = window[:places]
        fits = _SOUGHT[opcodes] & (high == 0) & (sizes >= _LEAST[opcodes])
        fits &= sizes <= end - at - _HEAD.size - np.arange(places)
        for place in np.flatnonzero(fits):
            tried += 1
            if tried > _MOST_CANDIDATES:
                return None
            if _is_chain(read, at + int(place), end):
                return at + int(place)
        at += places
    return None


def _is_chain(read: Read, at: int, end: int) -> bool:
    for _ in range(_CHAIN):
        if at == end:
            return True
        head = read(at, _HEAD.size)
        if len(head) < _HEAD.size or at + _HEAD.size > end:
            return False
        opcode, size = _HEAD.unpack(head)
        if opcode > _LAST_OPCODE or not _fits(opcode, size, at, end):
            return False
        at += _HEAD.size + size
    return True


def text_at(record: bytes, at: int) -> tuple[str, int]:
    """Return a length-prefixed text and the position after it.

    Raises:
        struct.error: the text is longer than its record.
    """
    (length,) = struct.unpack_from("<I", record, at)
    if at + 4 + length > len(record):
        raise struct.error("a text is longer than its record")
    return record[at + 4 : at + 4 + length].decode(errors="replace"), at + 4 + length
