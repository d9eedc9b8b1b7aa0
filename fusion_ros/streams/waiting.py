# SPDX-License-Identifier: Apache-2.0
"""One stream of a pairer: its waiting frames, its newest ones and its rate."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from typing import Generic, TypeVar

from fusion_ros.streams.ledger import Stream

F = TypeVar("F")

MOST_WAITING = 64
"""Limit of the frames that wait because of `WAIT_NS`, for memory; it is reached at 128 Hz."""
RECENT = 4
"""Newest thermal frames that may be held; visible frames are between the last two."""
NEVER = 1 << 80  # later than any stamp: "no further frame will come"


class Rhythm:
    """Distance of the stamps of one stream, learned from its most recent gaps.

    Lost frames only lengthen gaps, so the short gaps show the rate. The last few have a bound of
    their own, so that a rising rate is followed at once.
    """

    WINDOW = 32
    LATEST = 3
    ENOUGH_FOR_BOUND = 4
    ENOUGH_FOR_PERIOD = 8
    SHORT_SHARE = 10  # one gap in ten may be shorter than the bound (less its margin)
    MARGIN_PERCENT = 10

    def __init__(self) -> None:
        self._gaps: deque[int] = deque(maxlen=self.WINDOW)
        self.at_least_ns = 1
        """Lower bound of the distance to the next stamp (stamps never repeat: 1 ns)."""
        self.period_ns: int | None = None
        """Median distance of two frames, None before enough gaps are known."""

    def learn(self, gap_ns: int) -> None:
        """Add a gap."""
        self._gaps.append(gap_ns)
        if len(self._gaps) < self.ENOUGH_FOR_BOUND:
            return
        ordered = sorted(self._gaps)
        latest = min(self._gaps[-n] for n in range(1, self.LATEST + 1))
        short = min(ordered[len(ordered) // self.SHORT_SHARE], latest)
        self.at_least_ns = max(1, short * (100 - self.MARGIN_PERCENT) // 100)
        if len(ordered) >= self.ENOUGH_FOR_PERIOD:
            self.period_ns = ordered[len(ordered) // 2]


class Side(Generic[F]):
    """One stream: its waiting frames in stamp order, and its past stamps."""

    def __init__(self, stream: Stream, queue_size: int) -> None:
        self.stream = stream
        self.stamps: list[int] = []
        self.frames: list[F] = []
        self.jumps = 0
        self.excess_ns = 0  # see FramePairer._add_excess
        self._memory = 4 * max(MOST_WAITING, queue_size)
        self.restart()

    def restart(self) -> None:
        """Begin a new time line. No frame may be waiting."""
        self.newest: int | None = None
        self.decided: int | None = None  # newest stamp that was paired or settled as unpaired
        self.rhythm = Rhythm()
        self.recent: deque[tuple[int, F]] = deque(maxlen=RECENT)
        """Newest frames of any fate, with their stamps."""
        self._seen: set[int] = set()
        self._seen_order: deque[int] = deque()

    def is_duplicate(self, stamp: int) -> bool:
        """Whether the stamp was seen before."""
        return stamp in self._seen or stamp == self.decided

    def add_seen(self, stamp: int) -> None:
        """Add a stamp for `is_duplicate`."""
        self._seen.add(stamp)
        self._seen_order.append(stamp)
        if len(self._seen_order) > self._memory:
            self._seen.discard(self._seen_order.popleft())

    def insert(self, stamp: int, frame: F) -> None:
        """Add a waiting frame."""
        self.recent.append((stamp, frame))
        if self.newest is None or stamp > self.newest:
            if self.newest is not None:
                self.rhythm.learn(stamp - self.newest)
            self.newest = stamp
            self.stamps.append(stamp)
            self.frames.append(frame)
            return
        at = bisect_left(self.stamps, stamp)
        self.stamps.insert(at, stamp)
        self.frames.insert(at, frame)

    def take(self, count: int) -> None:
        """Remove the `count` oldest waiting frames, which are settled or paired."""
        if count:
            self.decided = self.stamps[count - 1]
            del self.stamps[:count]
            del self.frames[:count]

    def next_at_least(self) -> int:
        """Return a lower bound of the next stamp."""
        return self.newest + self.rhythm.at_least_ns if self.newest is not None else -NEVER
