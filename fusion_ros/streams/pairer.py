# SPDX-License-Identifier: Apache-2.0
"""Pairing of two time-stamped streams by the smallest skew, with the fate of every frame.

A frame is paired with the nearest frame of the other stream within an *inclusive* tolerance. No
frame is used twice. A pair is returned as soon as no later frame can be nearer, in these cases:

* Its skew is zero.
* Both streams have advanced far enough (each stream is expected in order).
* The period of the stream, learned from its last stamps, excludes a nearer next frame. Without this
  rule a constant offset of 10 ms at 30 Hz would delay every pair by one period.

The skew of two free-running cameras drifts through half a period. There jitter changes the nearest
neighbour at random, and each change would leave a frame of both streams unpaired. So an older frame
keeps its partner unless a newer one is clearly nearer (`FramePairer._hysteresis_ns`). This needs
the periods of both streams (eight gaps); before that the nearest frame is always chosen.

An unpaired frame waits until a later pair is returned or the queue is full (`WAIT_NS`). So a frame
that arrives out of order still finds it, and memory stays bounded. `JUMP_BACK_NS` separates jumps
back in time from reordering. Each stream follows a jump separately, so the first frames of a looped
bag pair at once, in any order of the streams.

Where the thermal camera is the slower one, visible frames without a partner form pairs with the
nearest thermal frame within reach (`FramePairer.hold_ns`). They are returned as soon as no later
thermal frame can be their partner, in the order of the visible stamps.

No pixels, clocks or ROS here. Not thread-safe.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from fusion_ros.streams.flow_options import FlowOptions
from fusion_ros.streams.ledger import Fate, FrameLedger, Stream
from fusion_ros.streams.waiting import MOST_WAITING, NEVER, Side

F = TypeVar("F")

JUMP_BACK_NS = 500_000_000
"""A stamp this far behind the newest of its stream is a jump back in time, as of a looped bag. A
smaller distance is a frame out of order."""
WAIT_NS = 500_000_000
"""Frames at most this much older than the newest of their stream wait, at any rate."""


@dataclass(frozen=True)
class Pair(Generic[F]):
    """Two frames of one moment.

    Attributes:
        skew_ns: thermal stamp + thermal offset - visible stamp.
        is_held: whether the thermal frame is held for a visible frame without a partner. The
            ledger counts such a pair for its visible frame only.
    """

    visible: F
    thermal: F
    visible_stamp_ns: int
    thermal_stamp_ns: int
    skew_ns: int
    is_held: bool = False


class FramePairer(Generic[F]):
    """Pairs a visible and a thermal stream.

    Args:
        tolerance_ns: largest skew of a pair, inclusive; 0 pairs equal stamps only.
        ledger: counts every frame. The caller settles the frames of a returned `Pair` (fused,
            superseded or rejected); all others are settled here.
        queue_size: frames of a stream that wait at any age. More wait while they span at most
            `wait_ns`, up to `MOST_WAITING`.
        thermal_offset_ns: added to every thermal stamp before comparing; for a known constant
            delay between the two cameras' stamps.
        hold_ns: largest skew of a pair with a held thermal frame; 0: none is held. None: one and a
            half thermal periods while the thermal stream is the slower one.
        wait_ns: see `WAIT_NS`; a thermal camera with a longer transport delay does not pair.
    """

    def __init__(
        self,
        *,
        tolerance_ns: int,
        ledger: FrameLedger,
        queue_size: int = 8,
        thermal_offset_ns: int = 0,
        hold_ns: int | None = 0,
        wait_ns: int = WAIT_NS,
    ) -> None:
        self._ledger = ledger
        self._queue_size = queue_size
        self._wait_ns = wait_ns
        self._visible: Side[F] = Side(Stream.VISIBLE, queue_size)
        self._thermal: Side[F] = Side(Stream.THERMAL, queue_size)
        self.settled: Fate | None = None
        """Fate of the newest frame, where it is final: late, duplicate, or None."""
        self.tolerance_ns = tolerance_ns
        """Largest skew of a pair in nanoseconds, inclusive. May be set at any time."""
        self.thermal_offset_ns = thermal_offset_ns
        """Added to thermal stamps before comparing, in nanoseconds. May be set at any time."""
        self.hold_ns = hold_ns
        """Largest skew of a pair with a held thermal frame. May be set at any time."""

    @classmethod
    def of(cls, options: FlowOptions, ledger: FrameLedger) -> FramePairer[F]:
        """Return the pairer of these options."""
        names = ("tolerance_ns", "thermal_offset_ns", "hold_ns", "queue_size")
        return cls(ledger=ledger, **{name: getattr(options, name) for name in names})

    @property
    def jumps(self) -> int:
        """Jumps back in time so far. A jump of both streams counts once."""
        return max(self._visible.jumps, self._thermal.jumps)

    def add(self, stream: Stream, stamp_ns: int, frame: F) -> list[Pair[F]]:
        """Add a frame. Return the pairs that are decided now, oldest first."""
        side = self._visible if stream is Stream.VISIBLE else self._thermal
        self._ledger.receive(stream)
        self.settled = None
        if side.newest is not None and side.newest - stamp_ns >= JUMP_BACK_NS:
            self._settle_unpaired(side, len(side.stamps))
            side.restart()
            side.jumps += 1
        if side.is_duplicate(stamp_ns):
            return self._end(side, Fate.DUPLICATE)
        side.add_seen(stamp_ns)
        if side.decided is not None and stamp_ns < side.decided:
            return self._end(side, Fate.LATE)
        side.insert(stamp_ns, frame)
        pairs = self._decide(final=False)
        while self._is_full(side):
            pairs += self._make_room(side)
        return pairs

    def flush(self) -> list[Pair[F]]:
        """Decide all waiting frames, as no further ones will arrive (end of a recording)."""
        pairs = self._decide(final=True)
        for side in (self._visible, self._thermal):
            pairs += self._without_partner(side, len(side.stamps))
        return pairs

    def reset(self) -> None:
        """Settle all waiting frames as unpaired and begin a new time line."""
        for side in (self._visible, self._thermal):
            self._settle_unpaired(side, len(side.stamps))
            side.restart()

    def _is_full(self, side: Side[F]) -> bool:
        count = len(side.stamps)
        if count <= self._queue_size:
            return False
        return count > MOST_WAITING or side.stamps[-1] - side.stamps[0] > self._wait_ns

    def _end(self, side: Side[F], fate: Fate) -> list[Pair[F]]:
        self.settled = fate
        self._ledger.settle(side.stream, fate)
        return []

    def _decide(self, *, final: bool) -> list[Pair[F]]:
        pairs: list[Pair[F]] = []
        while (found := self._next_pair(final)) is not None:
            pairs += self._make_pair(*found)
        if self._reach_ns():
            pairs += self._without_partner(self._visible, self._decided_count())
        return pairs

    def _make_room(self, side: Side[F]) -> list[Pair[F]]:
        """Remove the oldest frame of a full queue, paired if it has a partner."""
        found = self._next_pair(final=True)
        if found is not None and found[side is self._thermal] == 0:
            return self._make_pair(*found)
        return self._without_partner(side, 1)

    def _make_pair(self, i: int, j: int) -> list[Pair[F]]:
        """Return the pair at these positions, after those of earlier frames with held ones."""
        visible, thermal = self._visible, self._thermal
        held = self._without_partner(visible, i)
        self._settle_unpaired(thermal, j)
        pair = Pair(
            visible=visible.frames[0],
            thermal=thermal.frames[0],
            visible_stamp_ns=visible.stamps[0],
            thermal_stamp_ns=thermal.stamps[0],
            skew_ns=thermal.stamps[0] + self.thermal_offset_ns - visible.stamps[0],
        )
        visible.take(1)
        thermal.take(1)
        return [*held, pair]

    def _without_partner(self, side: Side[F], count: int) -> list[Pair[F]]:
        """Remove the oldest waiting frames; visible ones with a thermal frame in reach are paired.

        The others are settled as unpaired.
        """
        reach_ns = self._reach_ns() if side is self._visible else 0
        held = []
        for _ in range(count):
            pair = self._held_pair(side.stamps[0], side.frames[0], reach_ns) if reach_ns else None
            if pair is None:
                self._settle_unpaired(side, 1)
            else:
                held.append(pair)
                side.take(1)
        return held

    def _held_pair(self, stamp: int, frame: F, reach_ns: int) -> Pair[F] | None:
        skews = ((t + self.thermal_offset_ns - stamp, t, held) for t, held in self._thermal.recent)
        skew, thermal_stamp, held = min(
            skews, key=lambda found: abs(found[0]), default=(NEVER, 0, None)
        )
        if abs(skew) > reach_ns:
            return None
        return Pair(frame, cast(F, held), stamp, thermal_stamp, skew, is_held=True)

    def _reach_ns(self) -> int:
        """Return the largest skew of a pair with a held thermal frame now."""
        if self.hold_ns is not None:
            return self.hold_ns
        visible, thermal = self._visible.rhythm.period_ns, self._thermal.rhythm.period_ns
        if visible is None or thermal is None or 3 * thermal <= 4 * visible:
            return 0
        return 3 * thermal // 2

    def _decided_count(self) -> int:
        """Return how many of the oldest visible frames can have no partner any more."""
        waiting, tolerance = self._thermal.stamps, self.tolerance_ns
        coming = self._thermal.next_at_least()
        for count, stamp in enumerate(self._visible.stamps):
            wanted = stamp - self.thermal_offset_ns
            at = bisect_left(waiting, wanted - tolerance)
            is_near = at < len(waiting) and waiting[at] <= wanted + tolerance
            if is_near or coming <= wanted + tolerance:
                return count
        return len(self._visible.stamps)

    def _settle_unpaired(self, side: Side[F], count: int) -> None:
        for _ in range(count):
            self._ledger.settle(side.stream, Fate.UNPAIRED)
        side.take(count)

    def _next_pair(self, final: bool) -> tuple[int, int] | None:
        """Return the positions in both queues of the oldest pair that can be decided now.

        The search passes both queues in time order. `lead` is the earlier of the two heads,
        `follow` the later one. So `follow` is the nearest frame for `lead`; to be decided is
        whether a nearer one exists for `follow`. `final`: no further frame will arrive.
        """
        visible, thermal = self._visible, self._thermal
        at = {visible: 0, thermal: 0}
        shift = {visible: 0, thermal: self.thermal_offset_ns}

        def stamp(side: Side[F], ahead: int = 0) -> int | None:
            place = at[side] + ahead
            return side.stamps[place] + shift[side] if place < len(side.stamps) else None

        def unseen(side: Side[F]) -> int:
            return NEVER if final else side.next_at_least() + shift[side]

        while (v := stamp(visible)) is not None and (t := stamp(thermal)) is not None:
            lead, follow = (visible, thermal) if v <= t else (thermal, visible)
            first, second = min(v, t), max(v, t)
            gap = second - first
            rival = stamp(lead, 1)
            if gap > self.tolerance_ns or (rival is not None and rival <= second):
                at[lead] += 1  # out of tolerance, or its successor is nearer to the same partner
                continue
            rival_gap = (unseen(lead) if rival is None else rival) - second
            expected_gap = (lead.rhythm.period_ns or 0) - gap if rival is None else rival_gap
            if gap <= rival_gap + self._hysteresis_ns(lead, follow):
                self._add_excess(lead, follow, gap, expected_gap)
                return at[visible], at[thermal]
            if rival is None:
                return None
            # `rival` is nearer to `follow`, but may have a nearer partner itself.
            reach = rival + rival_gap
            other = stamp(follow, 1)
            if other is not None and other < reach:
                return at[visible], at[thermal]
            if other is None and unseen(follow) < reach:
                return None
            at[lead] += 1
        return None

    def _hysteresis_ns(self, lead: Side[F], follow: Side[F]) -> int:
        """Return how much nearer a newer frame must be to take the partner of an older one.

        Zero for the faster of two streams. Otherwise half a period, reduced as the skew that this
        rule has added so far approaches a whole period.
        """
        mine, other = lead.rhythm.period_ns, follow.rhythm.period_ns
        if mine is None or other is None or 4 * mine < 3 * other:
            return 0
        return max(0, min(mine // 2, other // 2, mine - lead.excess_ns))

    @staticmethod
    def _add_excess(lead: Side[F], follow: Side[F], gap: int, rival_gap: int) -> None:
        """Add up the skew beyond the nearest frame's, less a quarter period for jitter."""
        follow.excess_ns = 0
        period = lead.rhythm.period_ns
        if period is not None:
            lead.excess_ns = max(0, lead.excess_ns + gap - rival_gap - period // 4)
