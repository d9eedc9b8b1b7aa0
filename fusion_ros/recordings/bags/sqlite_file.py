# SPDX-License-Identifier: Apache-2.0
"""Reader of sqlite3 bag files, also with the journal of an unfinished recording.

The reader of `rosbags` ignores a write-ahead log and stops at the first damaged page. This reader
makes SQLite apply the journal to a copy, so that the recording is never changed.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import struct
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

from fusion_ros.files.limits import MAX_MESSAGE_BYTES, shown_size
from fusion_ros.recordings.bags.bag_file import BagMessage, TopicType, ros2_type
from fusion_ros.recordings.recording import DamageKind, DamageReporter, RecordingError

MAGIC = b"SQLite format 3\0"
JOURNALS = ("-wal", "-journal")
_LIMIT_LENGTH = 0
"""`sqlite3.SQLITE_LIMIT_LENGTH`, which Python 3.10 does not define."""
_GIVE_UP = 200
"""Successive message numbers without a readable message after which the search ends."""
_TABLES = """
    SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN ('topics', 'messages')
"""
_IN_ORDER = "SELECT id FROM messages WHERE topic_id IN (?) ORDER BY timestamp, id"


class SqliteFile:
    """One .db3 file.

    Raises:
        RecordingError: the file is no bag, or its list of topics cannot be read.
        OSError: the file cannot be read.
    """

    kind = "sqlite3"

    def __init__(self, path: Path, report: DamageReporter) -> None:
        self._report = report
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        with path.open("rb") as file:
            header = file.read(100)
        if not header.startswith(MAGIC):
            raise RecordingError(f"{path} does not begin as an SQLite file does")
        self._connection: sqlite3.Connection | None = None
        try:
            source = self._usable(path, header)
            # Without "immutable", SQLite would write a -shm file beside the recording.
            how = "mode=ro&immutable=1" if source == path else "mode=rw"
            self._connection = sqlite3.connect(f"{source.absolute().as_uri()}?{how}", uri=True)
            self._connection.execute("PRAGMA trusted_schema = OFF")
            if hasattr(self._connection, "setlimit"):  # from Python 3.11 on
                self._connection.setlimit(_LIMIT_LENGTH, MAX_MESSAGE_BYTES)
            if self._connection.execute(_TABLES).fetchone()[0] != 2:
                raise RecordingError(f"{path} holds no tables topics and messages: it is no bag")
            rows = self._connection.execute("SELECT id, name, type FROM topics")
            self._topics = {n: TopicType(str(name), ros2_type(str(kind))) for n, name, kind in rows}
            self.counts = self._counted()
            self.begin_ns = self._first_ns()
        except sqlite3.Error as error:
            self.close()
            raise RecordingError(f"{path}: SQLite cannot read its topics ({error})") from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """See `BagFile`."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def messages(self, topics: Collection[str]) -> Iterator[BagMessage]:
        """See `BagFile`."""
        wanted = [number for number, topic in self._topics.items() if topic.topic in topics]
        query = _IN_ORDER.replace("?", ",".join("?" * len(wanted)))
        seen: set[int] = set()
        try:
            for (number,) in self._execute(query, wanted):
                seen.add(number)
                yield from self._message(number)
            return
        except sqlite3.Error as error:
            self._report(DamageKind.BYTES, f"its messages cannot be read in order ({error})")
        for number, topic in self._numbered():
            if topic in wanted and number not in seen:
                yield from self._message(number)

    def _numbered(self) -> Iterator[tuple[int, int]]:
        """Yield number and topic of each readable message, in the order of numbers."""
        number = failed = 0
        while failed < _GIVE_UP:
            number += 1
            failed += 1
            with contextlib.suppress(sqlite3.Error):
                query = "SELECT topic_id FROM messages WHERE id = ?"
                for (topic,) in self._execute(query, [number]).fetchall():
                    failed = 0
                    yield number, topic

    def _message(self, number: int) -> Iterator[BagMessage]:
        query = (
            "SELECT topic_id, timestamp, length(data), "
            "CASE WHEN length(data) <= ? THEN data END FROM messages WHERE id = ?"
        )
        try:
            row = self._execute(query, [MAX_MESSAGE_BYTES, number]).fetchone()
        except sqlite3.Error as error:
            self._report(DamageKind.BYTES, f"message {number} cannot be read ({error})")
            return
        if row is None:
            self._report(DamageKind.BYTES, f"message {number} is not in its table")
            return
        topic, log_ns, size, data = row
        if data is None:
            limit = shown_size(MAX_MESSAGE_BYTES)
            text = f"message {number} is of {shown_size(size or 0)}; the limit is {limit}"
            self._report(DamageKind.BYTES, text)
        elif not isinstance(log_ns, int) or not isinstance(data, bytes):
            kinds = f"time of type {type(log_ns).__name__} and data of type {type(data).__name__}"
            self._report(DamageKind.BYTES, f"message {number} has a {kinds}")
        else:
            yield BagMessage(*self._topics[topic], log_ns, data)

    def _first_ns(self) -> int:
        with contextlib.suppress(sqlite3.Error, TypeError, ValueError):
            return int(self._execute("SELECT min(timestamp) FROM messages", []).fetchone()[0])
        return 0

    def _counted(self) -> dict[TopicType, int]:
        counts = dict.fromkeys(self._topics.values(), 0)
        query = "SELECT topic_id, count(*) FROM messages GROUP BY topic_id"
        try:
            for number, count in self._execute(query, []):
                if number in self._topics:
                    counts[self._topics[number]] += count
                else:
                    text = f"{count} messages belong to topic number {number}, which is not listed"
                    self._report(DamageKind.BYTES, text)
        except sqlite3.Error:  # reported when the messages are read
            found = Counter(self._topics.get(topic) for _, topic in self._numbered())
            counts = {topic: max(counts[topic], found[topic]) for topic in counts}
        return counts

    def _execute(self, query: str, values: list[int]) -> sqlite3.Cursor:
        assert self._connection is not None
        return self._connection.execute(query, values)

    def _usable(self, path: Path, header: bytes) -> Path:
        """Return the file, or a copy with its journal, or a padded copy of a truncated file."""
        journals = [path.with_name(path.name + end) for end in JOURNALS]
        journals = [file for file in journals if file.is_file() and file.stat().st_size]
        missing = _missing_bytes(header, path.stat().st_size)
        if not journals and not missing:
            return path
        self._folder = tempfile.TemporaryDirectory(prefix="fusion_ros_")
        folder = Path(self._folder.name)
        size = sum(file.stat().st_size for file in (path, *journals)) + missing
        if size > shutil.disk_usage(folder).free:
            raise RecordingError(
                f"{path}: reading it needs a copy of {shown_size(size)}, more than the free space "
                f"of {folder.parent}; set TMPDIR to a larger disk"
            )
        for file in (path, *journals):
            shutil.copyfile(file, folder / file.name)
        if journals:
            names = ", ".join(file.name for file in journals)
            text = f"the recorder did not close it; {names} was also read"
            self._report(DamageKind.UNFINISHED, text)
        elif missing:
            # SQLite refuses a short file completely; of a padded one it reads the existing pages.
            self._report(DamageKind.BYTES, f"its last {missing} bytes are missing")
            with (folder / path.name).open("r+b") as copy:
                copy.truncate(path.stat().st_size + missing)
        return folder / path.name


def _missing_bytes(header: bytes, size: int) -> int:
    """Return the number of bytes that are missing by the header's page count."""
    if len(header) < 100:
        return 0
    page, changes, pages = struct.unpack_from(">H6xII", header, 16)
    (valid_for,) = struct.unpack_from(">I", header, 92)
    if changes != valid_for:  # old SQLite versions do not maintain the page count
        return 0
    return max(0, (65536 if page == 1 else page) * pages - size)
