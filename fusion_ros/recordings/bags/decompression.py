# SPDX-License-Identifier: Apache-2.0
"""Decompression (zstd, lz4, bz2) with a limit on the output size."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fusion_ros.files.limits import MAX_MESSAGE_BYTES, TooLargeError, shown_size
from fusion_ros.recordings.recording import DamageKind, DamageReporter

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
"""Start of a message that rosbag2 compressed; plain CDR messages start with a zero byte."""

ALWAYS_ALLOWED_FILE_BYTES = 2**30
MAX_FILE_RATIO = 100
"""A compressed file may unpack to 1 GiB, or to this multiple of its own size."""
_KEEP_FREE_BYTES = 2**28
_PIECE = 2**20
_STEP = 2**24


class DecompressionError(ValueError):
    """Error of truncated or damaged compressed data; `partial` holds the output so far."""

    def __init__(self, message: str, partial: bytes = b"") -> None:
        super().__init__(message)
        self.partial = partial


def decompress(kind: str, data: bytes | memoryview, limit: int) -> bytes:
    """Decompress a whole buffer of one or more frames.

    Args:
        kind: "zstd", "lz4", "bz2", or "" and "none" for uncompressed data.
        data: the buffer.
        limit: largest output in bytes.

    Raises:
        TooLargeError: the data unpack to more than `limit` bytes.
        DecompressionError: the data are truncated or damaged, or the kind is unknown.
    """
    if kind in ("", "none"):
        if len(data) > limit:
            raise TooLargeError(f"{shown_size(len(data))}, the limit is {shown_size(limit)}")
        return bytes(data)
    pieces: list[bytes] = []
    try:
        _decompress_frames(_decompressor(kind), memoryview(data), limit, pieces)
    except (TooLargeError, DecompressionError):
        raise
    except Exception as error:  # the libraries have no common error type
        raise DecompressionError(f"{kind}: {error}", b"".join(pieces)) from error
    return b"".join(pieces)


def _decompress_frames(
    make: Callable[[], Any], data: memoryview, limit: int, pieces: list[bytes]
) -> None:
    """Append the content of all frames to `pieces`."""
    size, rest = 0, data
    while len(rest):
        machine = make()
        while not machine.eof:
            fed = rest[:_PIECE] if machine.needs_input else rest[:0]
            if machine.needs_input and not len(fed):
                raise DecompressionError("the compressed data are truncated", b"".join(pieces))
            rest = rest[len(fed) :]
            # Limited steps: a decompressor briefly holds two copies of its output.
            pieces.append(machine.decompress(fed, max_length=min(_STEP, limit + 1 - size)))
            size += len(pieces[-1])
            if size > limit:
                raise TooLargeError(f"it unpacks to more than {shown_size(limit)}")
        unused = len(machine.unused_data or b"")
        rest = data[len(data) - len(rest) - unused :]


def plain_message(data: bytes) -> bytes:
    """Return a serialised message, decompressed where the recorder compressed single messages.

    Raises:
        TooLargeError: its stated or actual size exceeds `MAX_MESSAGE_BYTES`.
        DecompressionError: the message is damaged.
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
    """Unpack a zstd file; a truncated file is unpacked as far as possible and reported.

    Raises:
        TooLargeError: the output exceeds the limit for the file's size, or the free disk space.
    """
    size = path.stat().st_size
    allowed = max(ALWAYS_ALLOWED_FILE_BYTES, MAX_FILE_RATIO * size)
    free = max(0, shutil.disk_usage(target.parent).free - _KEEP_FREE_BYTES)
    limit = min(allowed, free)
    reason = (
        f"the limit for {shown_size(size)} of compressed data"
        if allowed <= free
        else f"the free space of {target.parent}; set TMPDIR to a larger disk"
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
                f"its compressed data are truncated or damaged after {shown_size(written)} of "
                f"unpacked data ({error})",
            )


def _check_claim(head: bytes, limit: int, reason: str = "the limit") -> None:
    try:
        claimed = _zstd().get_frame_info(head[:18]).decompressed_size
    except _zstd().ZstdError:
        return  # the decompressor reports the fault
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
