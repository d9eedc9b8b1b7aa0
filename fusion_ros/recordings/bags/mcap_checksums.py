# SPDX-License-Identifier: Apache-2.0
"""Checksums of mcap chunks, which the writer of `rosbags` leaves out."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from fusion_ros.recordings.bags.mcap_records import (
    CHUNK,
    CHUNK_HEAD,
    MAGIC,
    FileSource,
    text_at,
    walk,
)

_CHECKSUM_AT = 24


def add_checksums(path: Path) -> int:
    """Add the checksum of every uncompressed chunk without one, and return their number.

    Without a checksum, changed bytes inside an image cannot be detected. A checksum of 0 means
    "none", so an interruption leaves a valid file.
    """
    source = FileSource(path)
    changed = 0
    try:
        with path.open("r+b") as file:
            for record in walk(source, len(MAGIC), source.size, lambda first, last: None):
                if record.opcode != CHUNK:
                    continue
                content = source.read(record.at, record.size)
                checksum = CHUNK_HEAD.unpack_from(content)[3]
                kind, place = text_at(content, CHUNK_HEAD.size)
                if checksum or kind:
                    continue
                file.seek(record.at + _CHECKSUM_AT)
                file.write(struct.pack("<I", zlib.crc32(memoryview(content)[place + 8 :])))
                changed += 1
    finally:
        source.close()
    return changed
