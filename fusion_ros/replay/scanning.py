# SPDX-License-Identifier: Apache-2.0
"""Reads a bag's file from front to back, without an index: what every format's scanner shares."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

ScannedMessage = tuple[str, str, int, bytes]
"""Topic, message type, log time in nanoseconds, serialised message."""


def scan(
    path: Path,
    magic: bytes,
    kind: str,
    records: Callable[[BinaryIO, int], Iterator[ScannedMessage]],
    damaged: Callable[[str], object],
    *,
    after_ns: int = -1,
) -> Iterator[ScannedMessage]:
    """Every whole message, in the order in which it was written.

    Args:
        path: the file.
        magic: the bytes that it begins with.
        kind: what such a file is called.
        records: reads messages from behind the magic to the given end.
        damaged: told in words what could not be read.
        after_ns: only messages recorded later than this.
    """
    with path.open("rb") as file:
        if file.read(len(magic)) != magic:
            damaged(f"it does not begin as {kind} does")
            return
        for message in records(file, path.stat().st_size):
            if message[2] > after_ns:
                yield message
