# SPDX-License-Identifier: Apache-2.0
"""CSV file with one row for each fused image, written without delaying the worker."""

from __future__ import annotations

import contextlib
import csv
import os
import queue
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

from fusion_ros.files.reading import other_kind
from fusion_ros.files.writing import UnwritableFileError, check_target

MAX_BYTES = 32 * 1024 * 1024
KEPT_FILES = 4
_QUEUE_LINES = 4096
_END = None
_CLOSE_S = 1.5


class TraceWriter:
    """Writer with its own thread; rotates files by size: FILE, FILE.1 (older), FILE.2, ...

    Args:
        path: the file to append to; its folder must exist.
        columns: names of the columns, in order. Other keys of a row are ignored.
        max_bytes: size at which the file is rotated.
        kept_files: number of rotated files that are kept.

    Raises:
        UnwritableFileError: the path is a folder, a link, a FIFO or a device, or not writable.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        columns: tuple[str, ...],
        *,
        warn: Callable[[str], object],
        max_bytes: int = MAX_BYTES,
        kept_files: int = KEPT_FILES,
    ) -> None:
        self._path = Path(path)
        self._columns = columns
        self._warn = warn
        self._max_bytes = max_bytes
        self._kept_files = kept_files
        self._rows: queue.Queue[Mapping[str, Any] | None] = queue.Queue(_QUEUE_LINES)
        self.lost = 0
        """Number of rows dropped because the disk was too slow."""
        try:
            self._open()
        except UnwritableFileError as error:
            raise UnwritableFileError(f"trace_file {error}") from error
        self._thread = threading.Thread(target=self._run, name="trace", daemon=True)
        self._thread.start()

    def write(self, row: Mapping[str, Any]) -> None:
        """Queue a row without blocking; with a full queue it is dropped and counted."""
        try:
            self._rows.put_nowait(row)
        except queue.Full:
            self.lost += 1

    def close(self) -> None:
        """Write the queued rows and close the file; abandon a disk that does not respond."""
        with contextlib.suppress(queue.Full):
            self._rows.put(_END, timeout=_CLOSE_S)
        self._thread.join(timeout=_CLOSE_S)
        if self._thread.is_alive():
            self._warn(f"trace_file {self._path}: writing hangs; {self._rows.qsize()} lines lost")
            return
        with contextlib.suppress(OSError):  # write errors were already reported
            self._file.close()
        if self.lost:
            self._warn(f"trace_file {self._path}: the disk was too slow for {self.lost} lines")

    def _open(self) -> None:
        self._file = open_for_appending(self._path)
        self._csv = csv.DictWriter(self._file, self._columns, extrasaction="ignore", restval="")
        if self._file.tell() == 0:
            self._csv.writeheader()

    def _run(self) -> None:
        broken = False
        while (row := self._rows.get()) is not _END:
            if broken:
                self.lost += 1
                continue
            try:
                self._csv.writerow(row)
                if self._rows.empty():
                    self._file.flush()
                if self._file.tell() >= self._max_bytes:
                    self._rotate()
            except (OSError, ValueError) as error:  # a full disk must not stop fusion
                broken = True
                self._warn(f"trace_file {self._path}: writing failed ({error}); tracing ends")

    def _rotate(self) -> None:
        self._file.close()
        oldest = self._rotated(self._kept_files)
        oldest.unlink(missing_ok=True)
        for number in range(self._kept_files - 1, 0, -1):
            if self._rotated(number).exists():
                self._rotated(number).replace(self._rotated(number + 1))
        self._path.replace(self._rotated(1))
        self._open()

    def _rotated(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


def open_for_appending(path: Path) -> TextIO:
    """Open or create a text file without blocking and without following links.

    Raises:
        UnwritableFileError: see `TraceWriter`.
    """
    # O_NONBLOCK: a FIFO without a reader must not block `configure`.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        # Checked before opening, since opening a device may have an effect.
        check_target(path)
        if path.is_symlink():
            raise UnwritableFileError(f"{path} is a link; name the file itself")
        file = open(os.open(path, flags, 0o666), "a", newline="", encoding="utf-8")  # noqa: SIM115
    except UnwritableFileError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        reason = getattr(error, "strerror", None) or error
        raise UnwritableFileError(f"{path} cannot be written ({reason})") from error
    if kind := other_kind(os.fstat(file.fileno()).st_mode):
        file.close()
        raise UnwritableFileError(f"{path} is {kind}; allowed is a file to write")
    return file
