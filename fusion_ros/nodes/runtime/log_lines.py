# SPDX-License-Identifier: Apache-2.0
"""Lines of a node's log: safe for text from outside, with a rate limit, and about progress.

rclpy allows one severity for each line of code that logs and raises for another one. So each
severity has its own line here.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from typing import TYPE_CHECKING

from fusion_ros.outside_text import LINE_LIMIT, printable, printable_lines

if TYPE_CHECKING:
    from rclpy.node import Node

Write = Callable[[str], object]
REPEAT_PERIOD_S = 60.0
PROGRESS_PERIOD_S = 5.0


def info_line(node: Node) -> Write:
    """Return a function that logs one printable line at level info."""
    logger = node.get_logger()
    return lambda text: logger.info(printable(text, LINE_LIMIT))


def warning_line(node: Node) -> Write:
    """Return a function that logs one printable line at level warning."""
    logger = node.get_logger()
    return lambda text: logger.warning(printable(text, LINE_LIMIT))


def error_line(node: Node) -> Write:
    """Return a function that logs one printable line at level error."""
    logger = node.get_logger()
    return lambda text: logger.error(printable(text, LINE_LIMIT))


def error_lines(node: Node) -> Write:
    """Return a function that logs several printable lines, such as a traceback, at level error."""
    logger = node.get_logger()
    return lambda text: logger.error(printable_lines(text))


class RepeatedEvents:
    """Writes the first event of a kind at once, then at most one line a minute, with a count.

    Thread-safe. Kinds are few, for example a stream and a fault, never external text.
    """

    def __init__(self, write: Write, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self._last_s: dict[Hashable, float] = {}
        self._unwritten: dict[Hashable, int] = {}

    def __call__(self, kind: Hashable, text: str) -> bool:
        """Write `text`, or only count it. Return whether it was written."""
        now_s = self._clock_s()
        with self._lock:
            last_s = self._last_s.get(kind)
            if last_s is not None and now_s - last_s < REPEAT_PERIOD_S:
                self._unwritten[kind] = self._unwritten.get(kind, 0) + 1
                return False
            self._last_s[kind] = now_s
            more = self._unwritten.pop(kind, 0)
        if more:
            text += f" (and {more} more of this kind in the last {now_s - (last_s or 0.0):.0f} s)"
        self._write(text)
        return True


@contextlib.contextmanager
def progress(write: Write, what: str) -> Iterator[None]:
    """Write "WHAT for N s" from time to time during this block, from a thread of its own."""
    done = threading.Event()

    def run() -> None:
        begun_s = time.monotonic()
        while not done.wait(PROGRESS_PERIOD_S):
            write(f"{what} for {time.monotonic() - begun_s:.0f} s")

    thread = threading.Thread(target=run, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
