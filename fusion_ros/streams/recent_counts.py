# SPDX-License-Identifier: Apache-2.0
"""Frame counts over the last seconds, from totals that only grow."""

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
    """What was counted within the last `seconds`."""

    seconds: float
    counts: LedgerSnapshot


class CountHistory:
    """Keeps totals of the last `window_s` seconds; thread-safe.

    Frames are counted over a time, never a time over frames: so the same limits hold at 1 Hz and
    at 120 Hz.

    Args:
        first: the totals now.
        window_s: how long totals are kept.
        clock_ns: a monotonic clock.
    """

    def __init__(
        self,
        first: LedgerSnapshot,
        *,
        window_s: float = WINDOW_S,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._window_s = window_s
        self._clock_ns = clock_ns
        self._totals: deque[tuple[int, LedgerSnapshot]] = deque()
        self._lock = threading.Lock()
        self.restart(first)

    def restart(self, now: LedgerSnapshot) -> None:
        """Begin again with these totals."""
        with self._lock:
            self._totals.clear()
        self.add(now)

    def add(self, totals: LedgerSnapshot) -> None:
        """Keep the totals of this moment."""
        now_ns = self._clock_ns()
        with self._lock:
            self._totals.append((now_ns, totals))
            # One that is older than the window stays: the window begins there.
            while len(self._totals) > 2 and now_ns - self._totals[1][0] >= self._window_s * 1e9:
                self._totals.popleft()

    def recent(self, window_s: float | None = None) -> RecentCounts:
        """Return what was counted in the newest `window_s` seconds, or since the restart."""
        with self._lock:
            kept = list(self._totals)
        newest_ns, newest = kept[-1]
        window_ns = (self._window_s if window_s is None else window_s) * 1e9
        begin_ns, begin = kept[0]
        for at_ns, totals in kept:
            if newest_ns - at_ns < window_ns:
                break
            begin_ns, begin = at_ns, totals
        return RecentCounts((newest_ns - begin_ns) / 1e9, newest.since(begin))
