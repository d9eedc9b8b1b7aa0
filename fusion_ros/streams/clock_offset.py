# SPDX-License-Identifier: Apache-2.0
"""Distance of two cameras' clocks: a hint for `thermal_offset_ms`, from their stamps alone.

The stamps of cameras with a common trigger differ by one constant. The nearest visible stamp has
the same distance from every thermal stamp, up to whole periods. The arrival times select the
period, since frames of one moment arrive at about the same time. Of these the least delay counts:
load delays frames, often by whole queues of them, and never advances one. The distances of
free-running cameras spread over the whole period. Then there is no hint, as no constant would help.
"""

from __future__ import annotations

from bisect import bisect_left
from cmath import exp, phase, pi
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from fusion_ros.streams.ledger import Stream
from fusion_ros.streams.pairer import JUMP_BACK_NS

LARGEST_OFFSET_MS = 1e9
"""Range of the parameter `thermal_offset_ms`, positive and negative."""
LARGEST_CONSTANT_MS = 3_600_000.0
"""No constant corrects clocks that are farther apart (clocks since boot): each start changes it."""
SECONDS_APART_MS = 1000.0
"""Transport delays do not explain larger differences of stamps at equal arrival."""
KEPT_S = 12.0
"""Frames are kept for this time: twelve of a camera of 1 Hz."""
WINDOW_S = 4.0
"""An estimate uses the frames of this time, or of the time of `FRAMES` of the slower stream."""
_BLOCK_NS = 10_000_000_000
DELAY_BLOCKS, RECENT_BLOCKS = 60, 6
"""The least delay of ten minutes proves how far clocks are apart at most; that of one minute is not
changed by their drift."""
LARGEST_DRIFT_NS = 100_000_000
"""Largest change of the distance of two clocks within ten minutes."""
FRAMES = 12
LEAST_S = 1.0
"""Least observed time of each stream."""
LEAST_DISTANCES = 8
"""Least number of distances for their spread."""
_MOST_KEPT = 4096
STEADY_SHARE = 0.2
"""Distances are constant if their interquartile range is at most this share of the shorter period
(that of free-running cameras is half of it)."""
STEP_NS = 2_000_000
"""Largest change of an offset that follows the stamps."""
CLEAR_SHARE = 0.4
"""An offset this share of the shorter period away is not followed: half a period has two signs."""


@dataclass(frozen=True)
class Remedy:
    """A parameter of the node and the replay, with an accepted value."""

    parameter: str
    value: float | str

    def __str__(self) -> str:
        value = f"{self.value:.1f}" if isinstance(self.value, float) else repr(self.value)
        return f"{self.parameter} to {value}"

    @property
    def option(self) -> str:
        """The command line option."""
        value = f"{self.value:.1f}" if isinstance(self.value, float) else self.value
        return f"--{self.parameter.replace('_', '-')} {value}"


def remedy(offset_ms: float) -> Remedy:
    """Return the remedy for thermal stamps that need `offset_ms` added.

    It is a constant offset, or stamps by arrival where the clocks are hours apart.
    """
    if abs(offset_ms) <= LARGEST_CONSTANT_MS:
        return Remedy("thermal_offset_ms", round(offset_ms, 1))
    return Remedy("stamp_source", "arrival")


@dataclass(frozen=True)
class ClockDistance:
    """Distance of the clocks of both streams, from frames that arrived together.

    Attributes:
        offset_ns: correction of thermal stamps, up to the difference of the transport delays.
        visible_stamp_ns, thermal_stamp_ns: of the newest frames.
    """

    offset_ns: int
    visible_stamp_ns: int
    thermal_stamp_ns: int

    @property
    def remedy(self) -> Remedy:
        """See `remedy`."""
        return remedy(self.offset_ns / 1e6)

    def __str__(self) -> str:
        hours = abs(self.offset_ns) / 3.6e12
        apart = f"{hours:.1f} h" if hours >= 1 else f"{abs(self.offset_ns) / 1e9:.1f} s"
        way = "behind" if self.offset_ns > 0 else "ahead of"
        return (
            f"thermal stamps are {apart} {way} visible stamps (newest: thermal "
            f"{self.thermal_stamp_ns / 1e9:.3f} s, visible {self.visible_stamp_ns / 1e9:.3f} s)"
        )


class OffsetEstimator:
    """Estimates the offset of the thermal stamps.

    Deterministic for given stamps and arrival times. Keeps numbers for `KEPT_S` seconds.
    """

    def __init__(self) -> None:
        self._frames: dict[Stream, deque[tuple[int, int]]] = {
            stream: deque(maxlen=_MOST_KEPT) for stream in Stream
        }
        self._least_ns: dict[Stream, dict[int, int]] = {stream: {} for stream in Stream}
        """Least delay by block of arrival."""

    def observe(self, stream: Stream, stamp_ns: int, arrived_ns: int) -> None:
        """Add a frame with its arrival time by a monotonic clock."""
        frames = self._frames[stream]
        if frames and stamp_ns <= frames[-1][0]:
            if frames[-1][0] - stamp_ns < JUMP_BACK_NS:
                return  # out of order or repeated
            self.reset()  # a jump back begins a new time line
            frames = self._frames[stream]
        frames.append((stamp_ns, arrived_ns))
        least_ns, block = self._least_ns[stream], arrived_ns // _BLOCK_NS
        delay_ns = arrived_ns - stamp_ns
        least_ns[block] = min(delay_ns, least_ns.get(block, delay_ns))
        if len(least_ns) > DELAY_BLOCKS:
            del least_ns[min(least_ns)]
        while arrived_ns - frames[0][1] > KEPT_S * 1e9:
            frames.popleft()

    def reset(self) -> None:
        """Discard all frames."""
        for stream in Stream:
            self._frames[stream].clear()
            self._least_ns[stream].clear()

    def estimate_ns(self) -> int | None:
        """Return the correction of thermal stamps with which frames of one moment have one stamp.

        None before enough frames were seen, or where no constant offset exists.
        """
        if not all(self._newest()):
            return None
        # By arrival: accurate to some milliseconds of transport delay.
        coarse_ns = self._distance_ns(RECENT_BLOCKS)
        if abs(coarse_ns - self._distance_ns()) > LARGEST_DRIFT_NS:
            return None  # frames of one camera wait in a queue
        found = self._nearest(coarse_ns)
        return None if found is None else found[0]

    def step_ns(self, in_use_ns: int) -> int:
        """Return a change of the offset in use, at most `STEP_NS`, after which stamps agree better.

        It uses no arrival times, which a loaded machine changes by seconds. Stamps alone determine
        the offset up to whole periods, so it approaches the nearest one. 0 where there is none, and
        where two are almost equally near.
        """
        found = self._nearest(in_use_ns)
        if found is None or abs(found[0] - in_use_ns) > CLEAR_SHARE * found[1]:
            return 0
        return max(-STEP_NS, min(STEP_NS, found[0] - in_use_ns))

    def _nearest(self, coarse_ns: int) -> tuple[int, float] | None:
        """Return the constant offset next to `coarse_ns` by stamps, and the shorter period."""
        visible, thermal = self._newest()
        for frames in (visible, thermal):
            if len(frames) < 2 or frames[-1][1] - frames[0][1] < LEAST_S * 1e9:
                return None
        slower, faster = sorted((visible, thermal), key=_period_ns, reverse=True)
        period_ns = _period_ns(faster)
        if period_ns <= 0:
            return None
        shift_ns = coarse_ns if slower is thermal else -coarse_ns
        distances = _nearest_ns([s + shift_ns for s, _ in slower], [s for s, _ in faster])
        if len(distances) < LEAST_DISTANCES:
            return None
        # Distances wrap at half a period; rotate them away from the wrap.
        centre_ns = _circular_centre(distances, period_ns)
        turned = sorted((d - centre_ns + period_ns / 2) % period_ns for d in distances)
        # Few distances must all agree, since half of them may agree by chance.
        quarter = len(turned) // 4 if len(turned) >= 2 * LEAST_DISTANCES else 0
        if turned[-1 - quarter] - turned[quarter] > STEADY_SHARE * period_ns:
            return None
        residual_ns = median(turned) - period_ns / 2 + centre_ns
        sign = 1 if slower is thermal else -1
        return round(coarse_ns - sign * residual_ns), period_ns

    def clock_distance(self) -> ClockDistance | None:
        """Return the distance of the clocks if it is seconds or more; needs two frames of each."""
        visible, thermal = self._newest()
        if len(visible) < 2 or len(thermal) < 2:
            return None
        offset_ns = self._distance_ns()
        if abs(offset_ns) < SECONDS_APART_MS * 1e6:
            return None
        return ClockDistance(offset_ns, visible[-1][0], thermal[-1][0])

    def _distance_ns(self, blocks: int = DELAY_BLOCKS) -> int:
        """Return the difference of the least delays, transport plus distance of the clocks."""
        visible_ns, thermal_ns = (
            min(least_ns for _, least_ns in list(self._least_ns[stream].items())[-blocks:])
            for stream in Stream
        )
        return thermal_ns - visible_ns

    def _newest(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Return both streams' frames of `WINDOW_S`, or of the time of the slower's `FRAMES`."""
        kept = tuple(list(self._frames[stream]) for stream in Stream)
        if not all(kept):
            return [], []
        until_ns = max(frames[-1][1] for frames in kept)
        slower = min(kept, key=len)
        since_ns = min(until_ns - int(WINDOW_S * 1e9), slower[-FRAMES:][0][1])
        visible, thermal = ([f for f in frames if f[1] >= since_ns] for frames in kept)
        return visible, thermal


def _period_ns(frames: Sequence[tuple[int, int]]) -> float:
    stamps = [stamp for stamp, _ in frames]
    return median(b - a for a, b in pairwise(stamps))


def _nearest_ns(stamps: list[int], others: list[int]) -> list[int]:
    """Return the signed distances from the nearest other stamp, of stamps between others."""
    distances = []
    for stamp in stamps:
        at = bisect_left(others, stamp)
        if 0 < at < len(others):
            distances.append(min(stamp - others[at - 1], stamp - others[at], key=abs))
    return distances


def _circular_centre(distances: list[int], period_ns: float) -> float:
    """Return the circular mean of the distances."""
    direction = sum(exp(2j * pi * d / period_ns) for d in distances)
    return phase(direction) / (2 * pi) * period_ns
