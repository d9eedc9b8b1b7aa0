# SPDX-License-Identifier: Apache-2.0
"""Rate, gaps and missing frames of one stream by its stamps."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from fusion_ros.replay.log import FrameEntry

_GAP = 1.6
"""A step of more than this many periods contains a missing frame."""
_STALL_PERIODS = 4.0


@dataclasses.dataclass(frozen=True)
class Gap:
    """An interval without frames. `at_ns` is the arrival of the frame before it."""

    at_ns: int
    seconds: float
    missing: int


@dataclasses.dataclass(frozen=True)
class Rhythm:
    """Rate and gaps of a stream.

    Attributes:
        rate_hz: rate by the median step of the stamps; 0 for fewer than three frames.
        jitter_ms: median absolute deviation of the steps.
        missing: number of missing frames, by the rate.
        gaps: intervals with missing frames, longest first.
        stalls: intervals between arrivals of more than four periods, longest first.
        backward: number of stamps before their predecessor's.
    """

    rate_hz: float
    jitter_ms: float
    missing: int
    gaps: tuple[Gap, ...]
    stalls: tuple[Gap, ...]
    backward: int


def rhythm_of(frames: Sequence[FrameEntry]) -> Rhythm:
    """Return rate and gaps of one stream's frames in arrival order."""
    stamped = [f for f in frames if f.stamp_ns is not None and f.stamp_ns > 0]
    if len(stamped) < 3:
        return Rhythm(0.0, 0.0, 0, (), (), 0)
    stamps = np.array([f.stamp_ns for f in stamped], np.int64)
    arrivals = np.array([f.arrived_ns for f in stamped], np.int64)
    steps = np.diff(stamps)
    forward = steps[steps > 0]
    if forward.size == 0:
        return Rhythm(0.0, 0.0, 0, (), (), int((steps < 0).sum()))
    period = float(np.median(forward))
    gaps = [
        Gap(int(arrivals[i]), steps[i] / 1e9, round(steps[i] / period) - 1)
        for i in np.nonzero(steps > _GAP * period)[0]
    ]
    waits = np.diff(arrivals)
    usual = float(np.median(waits[waits > 0])) if (waits > 0).any() else period
    stalls = [
        Gap(int(arrivals[i]), waits[i] / 1e9, round(waits[i] / usual) - 1)
        for i in np.nonzero(waits > _STALL_PERIODS * max(usual, period))[0]
    ]
    return Rhythm(
        rate_hz=1e9 / period,
        jitter_ms=float(np.median(np.abs(forward - period))) / 1e6,
        missing=sum(gap.missing for gap in gaps),
        gaps=tuple(sorted(gaps, key=lambda gap: -gap.seconds)),
        stalls=tuple(sorted(stalls, key=lambda gap: -gap.seconds)),
        backward=int((steps < 0).sum()),
    )
