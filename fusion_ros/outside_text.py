# SPDX-License-Identifier: Apache-2.0
"""Safe printing of external text: topics, formats, frame ids, file names.

Such text may contain line breaks, terminal escapes or megabytes. All of it passes through here
before it is logged, printed or published.
"""

from __future__ import annotations

import contextlib
import sys

NAME_LIMIT = 120
"""Characters of one name in a message."""
LINE_LIMIT = 1000
"""Characters of a whole line."""


def printable(text: object, limit: int = NAME_LIMIT) -> str:
    r"""Return `text` on one line: control characters escaped, at most about `limit` characters.

    >>> printable("jpeg\n[FATAL] \x1b[2J")
    'jpeg\\n[FATAL] \\x1b[2J'
    """
    whole = str(text)
    shown = whole[:limit]
    if not shown.isprintable():
        shown = "".join(c if c.isprintable() else _escaped(c) for c in shown)[:limit]
    if len(whole) > limit:
        shown += f"... ({len(whole)} characters)"
    return shown


def error_line(error: BaseException) -> str:
    """Return an error as one line, with its type where the text alone does not explain it."""
    text = printable(" ".join(str(error).split()), 1000)
    if isinstance(error, MemoryError):
        return "not enough memory" + (f" ({text})" if text else "")
    explains = type(error).__module__.startswith("fusion_ros.") or (
        isinstance(error, ValueError | RuntimeError | OSError | ImportError)
        and not isinstance(error, UnicodeError | RecursionError)
    )
    return text if explains and text else f"{type(error).__name__}: {text}"


def printable_lines(text: str, limit: int = LINE_LIMIT) -> str:
    """Return a text of several lines (a traceback) with each line made printable."""
    return "\n".join(printable(line, limit) for line in text.split("\n"))


def escape_output() -> None:
    """Escape characters that a stream cannot encode: of file names, or on a simple terminal."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def say(text: object = "", *, error: bool = False) -> None:
    """Print one line to standard output, or to standard error; at once and printable."""
    print(printable(text, LINE_LIMIT), file=sys.stderr if error else sys.stdout, flush=True)


def say_lines(text: str, *, error: bool = False) -> None:
    """Print a text of several lines, each made printable."""
    for line in text.split("\n"):
        say(line, error=error)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
