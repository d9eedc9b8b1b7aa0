# SPDX-License-Identifier: Apache-2.0
"""How far apart two cameras' clocks are: a hint for `thermal_offset_ms`, from their stamps alone.

Cameras that are triggered together carry stamps that differ by one constant: the nearest visible
stamp lies at the same distance from every thermal stamp, up to whole periods. Which period is meant
is told by arrival: frames that are taken together also tend to arrive together. Cameras that run
freely drift past each other, their distances spread over the whole period, and no hint is given:
no constant would help.

Pure Python; knows nothing of ROS.
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
"""Range of the parameter `thermal_offset_ms`, either way."""
LARGEST_CONSTANT_MS = 3_600_000.0
"""Clocks farther apart than this (a clock since boot) are not mended by a constant: after the next
start it is another one."""
SECONDS_APART_MS = 1000.0
"""Stamps that differ by more than this at equal arrival are no matter of transport delays."""
KEPT_S = 12.0
"""Frames are kept for so long: twelve of a camera of 1 Hz."""
WINDOW_S = 4.0
"""An estimate rests on the newest frames of this time, or on the time of `FRAMES` of the slower."""
FRAMES = 12
LEAST_S = 1.0
"""Less time than this seen of either stream gives no estimate."""
LEAST_DISTANCES = 8
"""Fewer distances tell nothing of their spread."""
_MOST_KEPT = 4096
STEADY_SHARE = 0.2
"""Distances count as constant while their interquartile range is at most this share of the shorter
period (a free-running pair spreads over half of it)."""


@dataclass(frozen=True)
class Remedy:
    """A parameter of the node and the replay, and a value that it accepts."""

    parameter: str
    value: float | str

    def __str__(self) -> str:
        value = f"{self.value:.1f}" if isinstance(self.value, float) else repr(self.value)
        return f"{self.parameter} to {value}"

    @property
    def option(self) -> str:
        """The same as an option of the command line."""
        value = f"{self.value:.1f}" if isinstance(self.value, float) else self.value
        return f"--{self.parameter.replace('_', '-')} {value}"


def remedy(offset_ms: float) -> Remedy:
    """Return what helps against thermal stamps that need `offset_ms` added.

    A constant where there can be one; stamps by arrival where the clocks are hours apart.
    """
    if abs(offset_ms) <= LARGEST_CONSTANT_MS:
        return Remedy("thermal_offset_ms", round(offset_ms, 1))
    return Remedy("stamp_source", "arrival")


@dataclass(frozen=True)
class ClockDistance:
    """How far apart the clocks behind both streams are, by stamps of frames that came together.

    Attributes:
        offset_ns: to be added to thermal stamps; right to the difference of the transport delays.
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
    """Watches both streams; `estimate_ns` tells what to add to thermal stamps, if that is clear.

    Deterministic for given stamps and arrival times. Memory: `KEPT_S` seconds of numbers a stream.
    """

    def __init__(self) -> None:
        self._frames: dict[Stream, deque[tuple[int, int]]] = {
            stream: deque(maxlen=_MOST_KEPT) for stream in Stream
        }

    def observe(self, stream: Stream, stamp_ns: int, arrived_ns: int) -> None:
        """A frame with this stamp arrived at this time of a monotonic clock."""
        frames = self._frames[stream]
        if frames and stamp_ns <= frames[-1][0]:
            if frames[-1][0] - stamp_ns < JUMP_BACK_NS:
                return  # out of order or repeated: it would tell nothing new
            self.reset()  # time jumped back: what was seen belongs to another time line
            frames = self._frames[stream]
        frames.append((stamp_ns, arrived_ns))
        while arrived_ns - frames[0][1] > KEPT_S * 1e9:
            frames.popleft()

    def reset(self) -> None:
        """Forget all frames."""
        for frames in self._frames.values():
            frames.clear()

    def estimate_ns(self) -> int | None:
        """What to add to thermal stamps so that frames of one moment carry one stamp.

        None while too little was seen, or where no constant offset exists.
        """
        visible, thermal = self._newest()
        if any(len(frames) < 2 or _span_s(frames) < LEAST_S for frames in (visible, thermal)):
            return None
        # What arrival says: right to some milliseconds of transport delay.
        coarse_ns = int(_delay_ns(thermal) - _delay_ns(visible))
        slower, faster = sorted((visible, thermal), key=_period_ns, reverse=True)
        period_ns = _period_ns(faster)
        if period_ns <= 0:
            return None
        shift_ns = coarse_ns if slower is thermal else -coarse_ns
        distances = _nearest_ns([s + shift_ns for s, _ in slower], [s for s, _ in faster])
        if len(distances) < LEAST_DISTANCES:
            return None
        # Distances wrap at half a period; turn the circle so that they do not straddle the seam.
        centre_ns = _circular_centre(distances, period_ns)
        turned = sorted((d - centre_ns + period_ns / 2) % period_ns for d in distances)
        # Of few distances all must agree: half of them would do so by chance.
        quarter = len(turned) // 4 if len(turned) >= 2 * LEAST_DISTANCES else 0
        if turned[-1 - quarter] - turned[quarter] > STEADY_SHARE * period_ns:
            return None
        residual_ns = median(turned) - period_ns / 2 + centre_ns
        sign = 1 if slower is thermal else -1
        return round(coarse_ns - sign * residual_ns)

    def clock_distance(self) -> ClockDistance | None:
        """How far apart the clocks are, where it is seconds or more; needs two frames of each."""
        visible, thermal = self._newest()
        if len(visible) < 2 or len(thermal) < 2:
            return None
        offset_ns = int(_delay_ns(thermal) - _delay_ns(visible))
        if abs(offset_ns) < SECONDS_APART_MS * 1e6:
            return None
        return ClockDistance(offset_ns, visible[-1][0], thermal[-1][0])

    def _newest(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Both streams' frames of the last `WINDOW_S`, or of the time of the slower's `FRAMES`."""
        kept = tuple(list(self._frames[stream]) for stream in Stream)
        if not all(kept):
            return [], []
        until_ns = max(frames[-1][1] for frames in kept)
        slower = min(kept, key=len)
        since_ns = min(until_ns - int(WINDOW_S * 1e9), slower[-FRAMES:][0][1])
        visible, thermal = ([f for f in frames if f[1] >= since_ns] for frames in kept)
        return visible, thermal


def _delay_ns(frames: Sequence[tuple[int, int]]) -> float:
    """Median of arrival less stamp: transport delay plus the distance of the two clocks."""
    return median(arrived - stamp for stamp, arrived in frames)


def _span_s(frames: Sequence[tuple[int, int]]) -> float:
    return (frames[-1][1] - frames[0][1]) / 1e9


def _period_ns(frames: Sequence[tuple[int, int]]) -> float:
    stamps = [stamp for stamp, _ in frames]
    return median(b - a for a, b in pairwise(stamps))


def _nearest_ns(stamps: list[int], others: list[int]) -> list[int]:
    """Signed distance (stamp less other) from the nearest other, of stamps that lie among them."""
    distances = []
    for stamp in stamps:
        at = bisect_left(others, stamp)
        if 0 < at < len(others):
            distances.append(min(stamp - others[at - 1], stamp - others[at], key=abs))
    return distances


def _circular_centre(distances: list[int], period_ns: float) -> float:
    """A point of the circle amid the distances: their mean direction."""
    direction = sum(exp(2j * pi * d / period_ns) for d in distances)
    return phase(direction) / (2 * pi) * period_ns
