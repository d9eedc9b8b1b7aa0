# SPDX-License-Identifier: Apache-2.0
"""Frame counts of the last seconds, from running totals."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from fusion_ros.streams.ledger import LedgerSnapshot

WINDOW_S = 10.0


@dataclass(frozen=True)
class RecentCounts:
    """Counts of the last `seconds`."""

    seconds: float
    counts: LedgerSnapshot


class CountHistory:
    """Totals of the last `WINDOW_S` seconds; thread-safe.

    The window is a time, so the same limits apply at 1 Hz and at 120 Hz.
    """

    def __init__(
        self, first: LedgerSnapshot, *, clock_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._clock_ns = clock_ns
        self._lock = threading.Lock()
        self.restart(first)

    def restart(self, now: LedgerSnapshot) -> None:
        """Restart with these totals."""
        with self._lock:
            self._totals = deque([(self._clock_ns(), now)])

    def add(self, totals: LedgerSnapshot) -> None:
        """Add the present totals."""
        now_ns = self._clock_ns()
        with self._lock:
            self._totals.append((now_ns, totals))
            # One older entry stays, as the begin of the window.
            while len(self._totals) > 2 and now_ns - self._totals[1][0] >= WINDOW_S * 1e9:
                self._totals.popleft()

    def recent(self, window_s: float = WINDOW_S) -> RecentCounts:
        """Return the counts of the newest `window_s` seconds, or since the restart."""
        with self._lock:
            kept = list(self._totals)
        newest_ns, newest = kept[-1]
        begin_ns, begin = kept[0]
        for at_ns, totals in kept:
            if newest_ns - at_ns < window_s * 1e9:
                break
            begin_ns, begin = at_ns, totals
        return RecentCounts((newest_ns - begin_ns) / 1e9, newest.since(begin))
