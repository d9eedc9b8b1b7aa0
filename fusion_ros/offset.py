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
from itertools import pairwise
from statistics import median

from fusion_ros.accounting import Stream
from fusion_ros.pairing import JUMP_BACK_NS

WINDOW = 90
"""Frames of each stream that an estimate rests on: three seconds at 30 Hz."""
ENOUGH = 30
"""Fewer frames of either stream give no estimate."""
STEADY_SHARE = 0.2
"""Distances count as constant while their interquartile range is at most this share of the shorter
period (a free-running pair spreads over half of it)."""


class OffsetEstimator:
    """Watches both streams; `estimate_ns` tells what to add to thermal stamps, if that is clear.

    Deterministic for given stamps and arrival times. Memory: `WINDOW` frames a stream.
    """

    def __init__(self) -> None:
        self._frames: dict[Stream, deque[tuple[int, int]]] = {
            stream: deque(maxlen=WINDOW) for stream in Stream
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

    def reset(self) -> None:
        """Forget all frames."""
        for frames in self._frames.values():
            frames.clear()

    def estimate_ns(self) -> int | None:
        """What to add to thermal stamps so that frames of one moment carry one stamp.

        None while too little was seen, or where no constant offset exists.
        """
        visible, thermal = self._frames[Stream.VISIBLE], self._frames[Stream.THERMAL]
        if len(visible) < ENOUGH or len(thermal) < ENOUGH:
            return None
        # What arrival says: right to some milliseconds of transport delay.
        coarse_ns = int(_delay_ns(thermal) - _delay_ns(visible))
        slower, faster = sorted((visible, thermal), key=_period_ns, reverse=True)
        period_ns = _period_ns(faster)
        if period_ns <= 0:
            return None
        shift_ns = coarse_ns if slower is thermal else -coarse_ns
        distances = _nearest_ns([s + shift_ns for s, _ in slower], [s for s, _ in faster])
        if len(distances) < ENOUGH // 4:
            return None
        # Distances wrap at half a period; turn the circle so that they do not straddle the seam.
        centre_ns = _circular_centre(distances, period_ns)
        turned = sorted((d - centre_ns + period_ns / 2) % period_ns for d in distances)
        quarter = len(turned) // 4
        if turned[-1 - quarter] - turned[quarter] > STEADY_SHARE * period_ns:
            return None
        residual_ns = median(turned) - period_ns / 2 + centre_ns
        sign = 1 if slower is thermal else -1
        return round(coarse_ns - sign * residual_ns)


def _delay_ns(frames: deque[tuple[int, int]]) -> float:
    """Median of arrival less stamp: transport delay plus the distance of the two clocks."""
    return median(arrived - stamp for stamp, arrived in frames)


def _period_ns(frames: deque[tuple[int, int]]) -> float:
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
