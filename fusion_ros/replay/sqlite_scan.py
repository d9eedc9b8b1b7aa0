# SPDX-License-Identifier: Apache-2.0
"""Reads what a damaged sqlite3 bag still holds, row by row."""

from __future__ import annotations

import shutil
import sqlite3
import struct
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from fusion_ros.replay.scanning import ScannedMessage

_GIVE_UP = 200
"""Rows in a row that cannot be read: beyond them nothing is expected."""


def scan_sqlite(
    path: Path, damaged: Callable[[str], object], *, after_ns: int = -1
) -> Iterator[ScannedMessage]:
    """Every readable message, in the order in which it was written.

    Args:
        path: the .db3 file.
        damaged: told in words what could not be read.
        after_ns: only messages recorded later than this.
    """
    with tempfile.TemporaryDirectory(prefix="fusion_ros_") as folder:
        source = _filled_up(path, Path(folder), damaged)
        base = sqlite3.connect(f"file:{source}?mode=ro", uri=True)
        try:
            yield from _rows(base, damaged, after_ns)
        finally:
            base.close()


def _filled_up(path: Path, folder: Path, damaged: Callable[[str], object]) -> Path:
    """The file, or where it is shorter than it says, a copy that is filled up with nothing.

    sqlite refuses a short file as a whole; in a file of the right length it reads what is there.
    """
    with path.open("rb") as file:
        header = file.read(100)
    if len(header) < 100:
        return path
    (page,) = struct.unpack_from(">H", header, 16)
    (pages,) = struct.unpack_from(">I", header, 28)
    missing = (65536 if page == 1 else page) * pages - path.stat().st_size
    if missing <= 0:
        return path
    damaged(f"its last {missing} bytes are missing")
    copy = folder / path.name
    shutil.copyfile(path, copy)
    with copy.open("r+b") as file:
        file.truncate(path.stat().st_size + missing)
    return copy


def _rows(
    base: sqlite3.Connection, damaged: Callable[[str], object], after_ns: int
) -> Iterator[ScannedMessage]:
    try:
        topics = {i: (n, t) for i, n, t in base.execute("SELECT id, name, type FROM topics")}
    except sqlite3.Error as error:
        damaged(f"its list of topics cannot be read ({error})")
        return
    row, failed, lost = 1, 0, 0
    query = "SELECT topic_id, timestamp, data FROM messages WHERE id = ?"
    while failed < _GIVE_UP:
        try:
            found = base.execute(query, (row,)).fetchone()
        except sqlite3.Error as error:
            found = None
            lost += 1
            if lost == 1:
                damaged(f"messages from number {row} on cannot be read ({error})")
        row += 1
        failed = 0 if found else failed + 1
        if found and found[1] > after_ns and found[0] in topics:
            yield (*topics[found[0]], found[1], bytes(found[2]))
