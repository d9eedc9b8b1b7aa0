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
    """Load averages before and after, and the share of other processes in between.

    This process and its finished children are not counted, so call `stop` after the last `wait`.
    Without `/proc/stat` the share is None.
    """

    def __init__(self) -> None:
        self._load = os.getloadavg()[0]
        self._marks = time.monotonic(), _all_busy_s(), _ours_s()

    def stop(self) -> dict[str, float | None]:
        """Return `load_before` and `load_after` (of one minute), and `others_percent`."""
        begun_s, busy_s, ours_s = self._marks
        wall_s, now_busy_s = time.monotonic() - begun_s, _all_busy_s()
        others = None
        if busy_s is not None and now_busy_s is not None and wall_s > 0:
            taken_s = (now_busy_s - busy_s) - (_ours_s() - ours_s)
            others = round(100 * max(taken_s, 0.0) / wall_s / (os.cpu_count() or 1), 1)
        return {
            "load_before": round(self._load, 2),
            "load_after": round(os.getloadavg()[0], 2),
            "others_percent": others,
        }


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
