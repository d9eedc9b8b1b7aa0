# SPDX-License-Identifier: Apache-2.0
"""Reads what a damaged sqlite3 bag still holds, row by row."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from fusion_ros.replay.mcap_scan import ScannedMessage

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
    base = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
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
                found, reason = None, str(error)
                lost += 1
                if lost == 1:
                    damaged(f"messages from number {row} on cannot be read ({reason})")
            row += 1
            failed = 0 if found else failed + 1
            if found and found[1] > after_ns and found[0] in topics:
                yield (*topics[found[0]], found[1], bytes(found[2]))
    finally:
        base.close()
