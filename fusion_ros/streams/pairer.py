# SPDX-License-Identifier: Apache-2.0
"""Who meets whom: pairs two time-stamped streams by nearest stamp and accounts for every frame.

The rule. Of two neighbours in time the nearer one wins, within an *inclusive* tolerance; no frame
is used twice. A pair is given out as soon as no better one can come, which is known when

* its skew is zero, or
* both streams have moved on far enough (each stream is taken to be in order), or
* the stream's own rhythm, learned from its last stamps, says that its next frame must be farther
  away. Without this a constant offset of 10 ms at 30 Hz would hold every pair for one period.

Two free-running cameras drift through half a period of skew, where the nearer neighbour changes
with every bit of jitter, and each change would leave a frame of each stream alone. There an older
frame of a stream that has none to spare keeps its partner, unless a newer one is clearly nearer
(`FramePairer._loyalty_ns`). Until the rhythms are learned (eight gaps) the nearer always wins.

A frame that found no partner is kept until a later pair is given out or the queue is full: so a
frame that arrives out of order still meets it, and memory stays bounded. Jumps back in time are
told from mere reordering by `jump_back_ns`. Each stream follows a jump on its own, so the first
frames after a looped bag pair at once, whichever stream comes round first.

Knows nothing of pixels, clocks or ROS. Not thread-safe: one caller at a time.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from fusion_ros.streams.ledger import Fate, FrameLedger, Stream

V = TypeVar("V")
T = TypeVar("T")

JUMP_BACK_NS = 500_000_000
"""A stamp this far or farther behind the newest of its stream means that time itself jumped back (a
looped bag, a restarted simulation); anything less is a frame out of order."""
_NEVER = 1 << 80  # later than any stamp: "no further frame will come"


@dataclass(frozen=True)
class Pair(Generic[V, T]):
    """Two frames of the same moment. `skew_ns` = thermal stamp + thermal offset - visible stamp."""

    visible: V
    thermal: T
    visible_stamp_ns: int
    thermal_stamp_ns: int
    skew_ns: int


class _Rhythm:
    """How far apart the stamps of one stream are, learned from its most recent gaps.

    Lost frames only make gaps longer, so the short ones tell the rate. The last few count by
    themselves: a stream that speeds up is followed at once, a hiccup is forgotten as soon.
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
        """The next frame is at least this far from the newest one (stamps never repeat: 1 ns)."""
        self.period_ns: int | None = None
        """The usual distance of two frames, `None` until enough were seen."""

    def learn(self, gap_ns: int) -> None:
        self._gaps.append(gap_ns)
        if len(self._gaps) < self.ENOUGH_FOR_BOUND:
            return
        ordered = sorted(self._gaps)
        latest = min(self._gaps[-n] for n in range(1, self.LATEST + 1))
        short = min(ordered[len(ordered) // self.SHORT_SHARE], latest)
        self.at_least_ns = max(1, short * (100 - self.MARGIN_PERCENT) // 100)
        if len(ordered) >= self.ENOUGH_FOR_PERIOD:
            self.period_ns = ordered[len(ordered) // 2]


class _Side:
    """One stream: its waiting frames in stamp order, and what is known of its past."""

    def __init__(self, stream: Stream, queue_size: int) -> None:
        self.stream = stream
        self.stamps: list[int] = []
        self.frames: list[Any] = []
        self.jumps = 0
        self.owed_ns = 0  # see FramePairer._owe
        self._memory = max(64, 4 * queue_size)
        self.forget()

    def forget(self) -> None:
        """Begin a new time line. Waiting frames must have been taken out before."""
        self.newest: int | None = None
        self.decided: int | None = None  # newest stamp that was given out or given up
        self.rhythm = _Rhythm()
        self._seen: set[int] = set()
        self._seen_order: deque[int] = deque()

    def is_duplicate(self, stamp: int) -> bool:
        return stamp in self._seen or stamp == self.decided

    def remember(self, stamp: int) -> None:
        self._seen.add(stamp)
        self._seen_order.append(stamp)
        if len(self._seen_order) > self._memory:
            self._seen.discard(self._seen_order.popleft())

    def insert(self, stamp: int, frame: Any) -> None:
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
        """The `count` oldest waiting frames leave, settled or in a pair."""
        if count:
            self.decided = self.stamps[count - 1]
            del self.stamps[:count]
            del self.frames[:count]

    def next_at_least(self) -> int:
        """No unseen frame of this stream has a smaller stamp, as far as can be known."""
        return self.newest + self.rhythm.at_least_ns if self.newest is not None else -_NEVER


class FramePairer(Generic[V, T]):
    """Pairs a visible and a thermal stream.

    Args:
        tolerance_ns: largest skew of a pair, inclusive; 0 pairs equal stamps only.
        ledger: where every frame is booked. Frames in a returned `Pair` are left for the caller
            to settle (fused, superseded or rejected); all others are settled here.
        queue_size: most frames of one stream that wait at the same time. It must span the
            difference of the two streams' transport delays: 8 at 30 Hz bridges 266 ms.
        thermal_offset_ns: added to every thermal stamp before comparing; for a known constant
            delay between the two cameras' stamps.
        jump_back_ns: see `JUMP_BACK_NS`.

    Raises:
        ValueError: an argument is out of its range; the message names it.
    """

    def __init__(
        self,
        *,
        tolerance_ns: int,
        ledger: FrameLedger,
        queue_size: int = 8,
        thermal_offset_ns: int = 0,
        jump_back_ns: int = JUMP_BACK_NS,
    ) -> None:
        if queue_size < 1:
            raise ValueError(f"queue_size is {queue_size}, allowed is 1 or more")
        if jump_back_ns < 1:
            raise ValueError(f"jump_back_ns is {jump_back_ns}, allowed is 1 or more")
        self._ledger = ledger
        self._queue_size = queue_size
        self._jump_back_ns = jump_back_ns
        self._visible = _Side(Stream.VISIBLE, queue_size)
        self._thermal = _Side(Stream.THERMAL, queue_size)
        self.settled: Fate | None = None
        """Fate of the newest frame, where it is final: late, duplicate, or None."""
        self.tolerance_ns = tolerance_ns
        self.thermal_offset_ns = thermal_offset_ns
        """Added to thermal stamps before comparing, in nanoseconds. May be set at any time."""

    @property
    def tolerance_ns(self) -> int:
        """Largest skew of a pair in nanoseconds, inclusive. May be set at any time."""
        return self._tolerance_ns

    @tolerance_ns.setter
    def tolerance_ns(self, value: int) -> None:
        if value < 0:
            raise ValueError(f"tolerance_ns is {value}, allowed is 0 or more")
        self._tolerance_ns = value

    @property
    def jumps(self) -> int:
        """Jumps back in time so far. Both streams following the same jump count once."""
        return max(self._visible.jumps, self._thermal.jumps)

    @property
    def waiting(self) -> tuple[int, int]:
        """How many visible and thermal frames wait, each at most `queue_size`."""
        return len(self._visible.stamps), len(self._thermal.stamps)

    def add_visible(self, stamp_ns: int, frame: V) -> list[Pair[V, T]]:
        """A visible frame came in. Returns the pairs that are decided now, oldest first."""
        return self._add(self._visible, stamp_ns, frame)

    def add_thermal(self, stamp_ns: int, frame: T) -> list[Pair[V, T]]:
        """A thermal frame came in. Returns the pairs that are decided now, oldest first."""
        return self._add(self._thermal, stamp_ns, frame)

    def flush(self) -> list[Pair[V, T]]:
        """No more frames will come (end of a recording, deactivation): decide all that waits."""
        pairs = self._decide(final=True)
        for side in (self._visible, self._thermal):
            self._give_up(side, len(side.stamps))
        return pairs

    def reset(self) -> None:
        """The clock jumped, as its owner knows: what waits ends unpaired, time begins anew."""
        for side in (self._visible, self._thermal):
            self._give_up(side, len(side.stamps))
            side.forget()

    def _add(self, side: _Side, stamp: int, frame: Any) -> list[Pair[V, T]]:
        self._ledger.receive(side.stream)
        self.settled = None
        if side.newest is not None and side.newest - stamp >= self._jump_back_ns:
            self._give_up(side, len(side.stamps))
            side.forget()
            side.jumps += 1
        if side.is_duplicate(stamp):
            return self._end(side, Fate.DUPLICATE)
        side.remember(stamp)
        if side.decided is not None and stamp < side.decided:
            return self._end(side, Fate.LATE)
        side.insert(stamp, frame)
        pairs = self._decide(final=False)
        while len(side.stamps) > self._queue_size:
            pairs += self._make_room(side)
        return pairs

    def _end(self, side: _Side, fate: Fate) -> list[Pair[V, T]]:
        self.settled = fate
        self._ledger.settle(side.stream, fate)
        return []

    def _decide(self, *, final: bool) -> list[Pair[V, T]]:
        pairs = []
        while (found := self._next_pair(final)) is not None:
            pairs.append(self._give_out(*found))
        return pairs

    def _make_room(self, side: _Side) -> list[Pair[V, T]]:
        """The oldest frame of a full queue leaves, with the partner it waited on if it has one."""
        found = self._next_pair(final=True)
        if found is not None and found[side is self._thermal] == 0:
            return [self._give_out(*found)]
        self._give_up(side, 1)
        return []

    def _give_out(self, i: int, j: int) -> Pair[V, T]:
        visible, thermal = self._visible, self._thermal
        self._give_up(visible, i)
        self._give_up(thermal, j)
        pair = Pair(
            visible=visible.frames[0],
            thermal=thermal.frames[0],
            visible_stamp_ns=visible.stamps[0],
            thermal_stamp_ns=thermal.stamps[0],
            skew_ns=thermal.stamps[0] + self.thermal_offset_ns - visible.stamps[0],
        )
        visible.take(1)
        thermal.take(1)
        return pair

    def _give_up(self, side: _Side, count: int) -> None:
        for _ in range(count):
            self._ledger.settle(side.stream, Fate.UNPAIRED)
        side.take(count)

    def _next_pair(self, final: bool) -> tuple[int, int] | None:
        """Places in both queues of the oldest pair that can be decided now, if any.

        Walks both queues in time order. `lead` is the earlier of the two heads, `follow` the later
        one: so `follow` is the nearest that `lead` can get, and the question is whether `follow`
        gets a nearer one. `final`: no unseen frame can interfere.
        """
        visible, thermal = self._visible, self._thermal
        at = {visible: 0, thermal: 0}
        shift = {visible: 0, thermal: self.thermal_offset_ns}

        def stamp(side: _Side, ahead: int = 0) -> int | None:
            place = at[side] + ahead
            return side.stamps[place] + shift[side] if place < len(side.stamps) else None

        def unseen(side: _Side) -> int:
            return _NEVER if final else side.next_at_least() + shift[side]

        while (v := stamp(visible)) is not None and (t := stamp(thermal)) is not None:
            lead, follow = (visible, thermal) if v <= t else (thermal, visible)
            first, second = min(v, t), max(v, t)
            gap = second - first
            rival = stamp(lead, 1)
            if gap > self._tolerance_ns or (rival is not None and rival <= second):
                at[lead] += 1  # out of reach, or its successor is nearer to the same partner
                continue
            rival_gap = (unseen(lead) if rival is None else rival) - second
            expected_gap = (lead.rhythm.period_ns or 0) - gap if rival is None else rival_gap
            if gap <= rival_gap + self._loyalty_ns(lead, follow):
                self._owe(lead, follow, gap, expected_gap)
                return at[visible], at[thermal]
            if rival is None:
                return None
            # `follow` would rather have `rival`, unless `rival` gets a nearer partner itself.
            reach = rival + rival_gap
            other = stamp(follow, 1)
            if other is not None and other < reach:
                return at[visible], at[thermal]
            if other is None and unseen(follow) < reach:
                return None
            at[lead] += 1
        return None

    def _loyalty_ns(self, lead: _Side, follow: _Side) -> int:
        """How much nearer a newer frame must be to take the partner of an older one.

        Half a period for a stream that has no frames to spare, less as the skew that loyalty has
        cost so far nears a whole period; zero for the faster of two streams.
        """
        mine, other = lead.rhythm.period_ns, follow.rhythm.period_ns
        if mine is None or other is None or 4 * mine < 3 * other:
            return 0
        return max(0, min(mine // 2, other // 2, mine - lead.owed_ns))

    @staticmethod
    def _owe(lead: _Side, follow: _Side, gap: int, rival_gap: int) -> None:
        """Adds up what loyalty costs, but a quarter period a frame that jitter may cost."""
        follow.owed_ns = 0
        period = lead.rhythm.period_ns
        if period is not None:
            lead.owed_ns = max(0, lead.owed_ns + gap - rival_gap - period // 4)
