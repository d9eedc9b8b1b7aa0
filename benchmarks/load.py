# SPDX-License-Identifier: Apache-2.0
"""Load of the machine during a measurement."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

#: Share of the processors that other processes may use in a valid measurement.
MOST_OTHERS_PERCENT = 5.0
#: Load average allowed before the first benchmark.
MOST_LOAD_BEFORE = 0.5


class LoadWatch:
    """Share of other processes in the processors' time.

    This process and its finished children are not counted, so read it after the last `wait`.
    """

    def __init__(self) -> None:
        self._marks = time.monotonic(), _all_busy_s(), _ours_s()

    def others_percent(self) -> float | None:
        """Return the share since the creation; None without `/proc/stat`."""
        begun_s, busy_s, ours_s = self._marks
        now_busy_s = _all_busy_s()
        if busy_s is None or now_busy_s is None:
            return None
        taken_s = (now_busy_s - busy_s) - (_ours_s() - ours_s)
        wall_s = time.monotonic() - begun_s
        return 100 * max(taken_s, 0.0) / wall_s / (os.cpu_count() or 1)


def _all_busy_s() -> float | None:
    """Return the busy time of all processors in seconds, including time taken by the host."""
    try:
        first = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()
    except OSError:
        return None
    user, nice, system, _, _, interrupts, soft, stolen = (int(n) for n in first[1:9])
    ticks = user + nice + system + interrupts + soft + stolen
    return ticks / os.sysconf("SC_CLK_TCK")


def _ours_s() -> float:
    used = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)
