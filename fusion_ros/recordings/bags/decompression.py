# SPDX-License-Identifier: Apache-2.0
"""Decompression (zstd, lz4, bz2) with a limit on what comes out."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fusion_ros.files.limits import MAX_MESSAGE_BYTES, TooLargeError, shown_size
from fusion_ros.recordings.damage import DamageKind, DamageReporter

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
"""A CDR message begins with 00, so these bytes mark a message that rosbag2 compressed."""

ALWAYS_ALLOWED_FILE_BYTES = 2**30
MAX_FILE_RATIO = 100
"""A compressed file may unpack to 1 GiB, or to this many times its own size."""
_KEEP_FREE_BYTES = 2**28
_PIECE = 2**20
_STEP = 2**24


class DecompressionError(ValueError):
    """Compressed data that are cut or damaged; `partial` is what came out before."""

    def __init__(self, message: str, partial: bytes = b"") -> None:
        super().__init__(message)
        self.partial = partial


def decompress(kind: str, data: bytes | memoryview, limit: int) -> bytes:
    """Decompress a whole buffer of one or more frames.

    Args:
        kind: "zstd", "lz4", "bz2", or "" and "none" for data that are not compressed.
        data: the buffer.
        limit: more bytes than this are not produced.

    Raises:
        TooLargeError: the data unpack to more than `limit` bytes.
        DecompressionError: cut, damaged, or an unknown kind.
    """
    if kind in ("", "none"):
        if len(data) > limit:
            raise TooLargeError(f"{shown_size(len(data))}, the limit is {shown_size(limit)}")
        return bytes(data)
    make = _decompressor(kind)
    pieces: list[bytes] = []
    size, rest = 0, memoryview(data)
    try:
        while len(rest):
            machine = make()
            while not machine.eof:
                if machine.needs_input:
                    fed, rest = rest[:_PIECE], rest[_PIECE:]
                    if not len(fed):
                        break
                else:
                    fed = b""
                # In steps: a decompressor holds what it returns twice for a moment.
                most = min(_STEP, limit + 1 - size)
                pieces.append(machine.decompress(fed, max_length=most))
                size += len(pieces[-1])
                if size > limit:
                    raise TooLargeError(f"it unpacks to more than {shown_size(limit)}")
            if not machine.eof:
                raise DecompressionError(f"{kind} data end too early", b"".join(pieces))
            unused = len(machine.unused_data or b"")
            rest = memoryview(data)[len(data) - len(rest) - unused :]
    except (TooLargeError, DecompressionError):
        raise
    except Exception as error:  # each library raises errors of its own
        raise DecompressionError(f"{kind}: {error}", b"".join(pieces)) from error
    return b"".join(pieces)


def plain_message(data: bytes) -> bytes:
    """Return a serialised message, decompressed where the recorder compressed it by message.

    Raises:
        TooLargeError: it claims, or unpacks to, more than `MAX_MESSAGE_BYTES`.
        DecompressionError: it is damaged.
    """
    if not data.startswith(ZSTD_MAGIC):
        if len(data) > MAX_MESSAGE_BYTES:
            raise TooLargeError(
                f"{shown_size(len(data))}, the limit is {shown_size(MAX_MESSAGE_BYTES)}"
            )
        return data
    _check_claim(data, MAX_MESSAGE_BYTES)
    return decompress("zstd", data, MAX_MESSAGE_BYTES)


def unpack_file(path: Path, target: Path, report: DamageReporter) -> None:
    """Unpack a zstd file; of a cut file as much as there is, which is reported.

    Raises:
        TooLargeError: it unpacks to more than is allowed for its size, or than the disk has room
            for.
    """
    size = path.stat().st_size
    allowed = max(ALWAYS_ALLOWED_FILE_BYTES, MAX_FILE_RATIO * size)
    room = max(0, shutil.disk_usage(target.parent).free - _KEEP_FREE_BYTES)
    limit = min(allowed, room)
    reason = (
        f"the limit for {shown_size(size)} of compressed data"
        if allowed <= room
        else f"what {target.parent} has room for; set TMPDIR to a larger disk"
    )
    with path.open("rb") as source, target.open("wb") as unpacked:
        _check_claim(source.read(18), limit, reason)
        source.seek(0)
        written = 0
        try:
            with _zstd().ZstdFile(source, "rb") as stream:
                while piece := stream.read(_PIECE):
                    written += len(piece)
                    if written > limit:
                        raise TooLargeError(f"more than {shown_size(limit)}, {reason}")
                    unpacked.write(piece)
        except (EOFError, _zstd().ZstdError) as error:
            report(
                DamageKind.BYTES,
                f"its compressed data are cut or damaged after {shown_size(written)} of unpacked "
                f"data ({error})",
            )


def _check_claim(head: bytes, limit: int, reason: str = "the limit") -> None:
    try:
        claimed = _zstd().get_frame_info(head[:18]).decompressed_size
    except _zstd().ZstdError:
        return  # the decompressor will name the fault
    if claimed is not None and claimed > limit:
        raise TooLargeError(
            f"it claims to unpack to {shown_size(claimed)}, more than {shown_size(limit)}, {reason}"
        )


def _decompressor(kind: str) -> Callable[[], Any]:
    if kind == "zstd":
        return _zstd().ZstdDecompressor
    if kind == "lz4":
        from lz4.frame import LZ4FrameDecompressor

        return LZ4FrameDecompressor
    if kind == "bz2":
        from bz2 import BZ2Decompressor

        return BZ2Decompressor
    raise DecompressionError(f"compression {kind[:20]!r} is unknown; known are zstd, lz4 and bz2")


def _zstd() -> Any:
    try:
        from compression import zstd
    except ImportError:
        from backports import zstd
    return zstd
