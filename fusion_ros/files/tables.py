# SPDX-License-Identifier: Apache-2.0
"""CSV files whose text cells cannot be run as formulas by a spreadsheet."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from fusion_ros.files.writing import new_file

_RUNS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?|inf|nan)")


def cell(value: Any) -> Any:
    """Return a value for a CSV cell, with an apostrophe before text that looks like a formula.

    Numbers are unchanged, also in text form.
    """
    if not isinstance(value, str) or not value.lstrip(" ").startswith(_RUNS):
        return value
    return value if _NUMBER.fullmatch(value) else f"'{value}"


class CsvWriter:
    """Writer of the rows of one table; see `cell`."""

    def __init__(self, file: Any) -> None:
        self._writer = csv.writer(file, lineterminator="\n")

    def write(self, values: Iterable[Any]) -> None:
        """Write one row."""
        self._writer.writerow([cell(value) for value in values])


@contextmanager
def new_table(path: str | os.PathLike[str]) -> Iterator[CsvWriter]:
    """Yield a writer of a CSV file; it becomes `path` when the body ends without an error."""
    with new_file(path) as file:
        text = io.TextIOWrapper(file, "utf-8", errors="backslashreplace", newline="")
        yield CsvWriter(text)
        text.flush()
        text.detach()


def write_table(
    path: str | os.PathLike[str],
    rows: Iterable[Mapping[str, Any]],
    columns: Sequence[str] | None = None,
) -> None:
    """Replace a CSV file; the columns default to the keys of the first row."""
    with new_table(path) as table:
        for values in rows:
            if columns is None:
                columns = list(values)
                table.write(columns)
            table.write(values.get(name) for name in columns)
