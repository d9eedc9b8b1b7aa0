# SPDX-License-Identifier: Apache-2.0
"""Log with a rate limit for events that may repeat with every frame."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable

PERIOD_S = 60.0


class RepeatedEvents:
    """Writes the first event of a kind at once, then at most one line per period, with a count.

    Thread-safe. Kinds are few, for example a stream and a fault, never external text.

    `period_s` is the shortest time between two lines of one kind.
    """

    def __init__(
        self,
        write: Callable[[str], object],
        *,
        period_s: float = PERIOD_S,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._period_s = period_s
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self._last_s: dict[Hashable, float] = {}
        self._unwritten: dict[Hashable, int] = {}

    def __call__(self, kind: Hashable, text: str) -> bool:
        """Write `text`, or only count it. Return whether it was written."""
        now_s = self._clock_s()
        with self._lock:
            last_s = self._last_s.get(kind)
            if last_s is not None and now_s - last_s < self._period_s:
                self._unwritten[kind] = self._unwritten.get(kind, 0) + 1
                return False
            self._last_s[kind] = now_s
            more = self._unwritten.pop(kind, 0)
        if more:
            text += f" (and {more} more of this kind in the last {now_s - (last_s or 0.0):.0f} s)"
        self._write(text)
        return True
