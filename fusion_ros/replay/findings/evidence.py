# SPDX-License-Identifier: Apache-2.0
"""The finding type, and the evidence that all checks use: frames, rates, gaps and offset."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from enum import Enum
from functools import cached_property
from statistics import median

import numpy as np

from fusion_ros.outside_text import LINE_LIMIT, printable
from fusion_ros.recordings.recording import Damage, Identity
from fusion_ros.replay.log import FrameEntry
from fusion_ros.replay.run import ReplayResult
from fusion_ros.replay.settings import ReplaySettings
from fusion_ros.streams.clock_offset import SECONDS_APART_MS
from fusion_ros.streams.ledger import Stream

MOST_PLACES = 24
_ENOUGH = 5
"""Fewer frames do not distinguish a delay of milliseconds from jitter."""
_GAP = 1.6
"""A step of more than this many periods contains a missing frame."""
_STALL_PERIODS = 4.0


class Severity(str, Enum):
    """Severity: an error spoils results, a warning may spoil them, info is for information."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclasses.dataclass(frozen=True)
class Finding:
    """One fault of a recording.

    Attributes:
        code: stable name, used by gates and comparisons.
        title, detail, fix: texts for users.
        at_s: first places, in seconds from the recording's first frame.
        count: number of occurrences.
        parameters: parameters of the fuse node that remedy it, with their values.
        command: command to run next; `RECORDING` stands for the recording and `OUT` for a folder.
            "" is a replay with `parameters`.
    """

    code: str
    severity: Severity
    title: str
    detail: str
    fix: str
    at_s: tuple[float, ...] = ()
    count: int = 1
    parameters: Mapping[str, float | str] = dataclasses.field(default_factory=dict)
    command: str = ""

    def __post_init__(self) -> None:
        # The texts contain topics, file names and messages from outside.
        for name in ("title", "detail", "fix", "command"):
            object.__setattr__(self, name, printable(getattr(self, name), LINE_LIMIT))


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


@dataclasses.dataclass(frozen=True)
class Evidence:
    """Data from which findings are derived."""

    identity: Identity
    damage: list[Damage]
    result: ReplayResult
    settings: ReplaySettings

    @cached_property
    def frames(self) -> dict[Stream, list[FrameEntry]]:
        """Frames by stream."""
        return {s: [f for f in self.result.log.frames if f.stream is s] for s in Stream}

    @cached_property
    def rhythms(self) -> dict[Stream, Rhythm]:
        """Rate and gaps by stream."""
        return {stream: rhythm_of(entries) for stream, entries in self.frames.items()}

    @cached_property
    def offset(self) -> tuple[float | None, str]:
        """Offset in milliseconds to add to thermal stamps, and its source."""
        if self.result.log.offsets_ms:
            offsets_ms = [value for _, value in self.result.log.offsets_ms]
            return median(offsets_ms), "stamps and arrival"
        delays_ns = [
            [f.arrived_ns - f.stamp_ns for f in entries if f.stamp_ns]
            for entries in self.frames.values()
        ]
        if not all(delays_ns):
            return None, ""
        visible_ns, thermal_ns = delays_ns
        offset_ms = (median(thermal_ns) - median(visible_ns)) / 1e6
        # A difference of seconds is no transport delay, even in few frames.
        if min(map(len, delays_ns)) < _ENOUGH and abs(offset_ms) < SECONDS_APART_MS:
            return None, ""
        return offset_ms, "arrival"

    @cached_property
    def begin_ns(self) -> int:
        """Arrival of the first frame."""
        return min((f.arrived_ns for f in self.result.log.frames), default=0)

    def seconds(self, arrived_ns: int) -> float:
        """Return seconds since the recording's first frame."""
        return round((arrived_ns - self.begin_ns) / 1e9, 3)

    def places(self, entries: list[FrameEntry]) -> tuple[float, ...]:
        """Return the times of the first few frames."""
        return tuple(self.seconds(entry.arrived_ns) for entry in entries[:MOST_PLACES])


def sentence(text: str) -> str:
    """Return a text with an initial capital and a full stop."""
    return f"{text[:1].upper()}{text[1:]}."


def times(count: int) -> str:
    """Return a count in words."""
    return "once" if count == 1 else f"{count} times"
