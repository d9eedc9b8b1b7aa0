# SPDX-License-Identifier: Apache-2.0
"""Camera schedules for the pairing tests, and two independent rules to compare with.

All times are integers in nanoseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fusion_ros.streams.ledger import Fate, FrameLedger, Stream
from fusion_ros.streams.pairer import FramePairer, Pair

MS = 1_000_000
SECOND = 1_000_000_000


@dataclass(frozen=True)
class Camera:
    """How one camera behaves. `late_ms` is the transport delay, `late_jitter_ms` its spread."""

    rate_hz: float = 30.0
    offset_ms: float = 0.0
    jitter_ms: float = 0.0
    loss: float = 0.0
    late_ms: float = 5.0
    late_jitter_ms: float = 2.0
    overtaking: bool = False  # a delayed frame does not hold up the next one

    def frames(self, seconds: float, seed: int) -> list[tuple[int, int]]:
        """(arrival, stamp) of every frame that arrives, in arrival order."""
        rng = np.random.default_rng(seed)
        index = np.arange(round(seconds * self.rate_hz))
        stamps = index * (1e3 / self.rate_hz) + self.offset_ms
        stamps = stamps + rng.normal(0.0, self.jitter_ms, index.size).clip(
            -3 * self.jitter_ms, 3 * self.jitter_ms
        )
        stamps = np.maximum.accumulate(np.rint(stamps * MS).astype(np.int64) + index) + SECOND
        delay = self.late_ms + rng.uniform(0.0, self.late_jitter_ms, index.size)
        arrivals = stamps + np.rint(delay * MS).astype(np.int64)
        if not self.overtaking:
            arrivals = np.maximum.accumulate(arrivals)
        kept = rng.random(index.size) >= self.loss
        frames = zip(arrivals[kept].tolist(), stamps[kept].tolist(), strict=True)
        return sorted(frames, key=lambda frame: frame[0])


@dataclass(frozen=True)
class Event:
    arrival: int
    stream: Stream
    stamp: int


def merge(visible: list[tuple[int, int]], thermal: list[tuple[int, int]]) -> list[Event]:
    """Both streams as one pairer sees them: in order of arrival."""
    events = [Event(a, Stream.VISIBLE, s) for a, s in visible]
    events += [Event(a, Stream.THERMAL, s) for a, s in thermal]
    return sorted(events, key=lambda event: event.arrival)


@dataclass(frozen=True)
class Outcome:
    pairs: list[Pair[int]]
    latency: list[int]  # from the arrival of the later frame of a pair to the decision
    ledger: FrameLedger


def drive(events: list[Event], tolerance: int, thermal_offset: int = 0, **kwargs: int) -> Outcome:
    """Runs the real pairer; a frame's payload is its arrival time."""
    ledger = FrameLedger()
    pairer: FramePairer[int] = FramePairer(
        tolerance_ns=tolerance, ledger=ledger, thermal_offset_ns=thermal_offset, **kwargs
    )
    pairs, latency = [], []
    for event in events:
        for pair in pairer.add(event.stream, event.stamp, event.arrival):
            pairs.append(pair)
            latency.append(event.arrival - max(pair.visible, pair.thermal))
    pairs += pairer.flush()
    for _ in pairs:
        ledger.settle_pair(Fate.FUSED)
    return Outcome(pairs, latency, ledger)


def most_pairs(visible: list[int], thermal: list[int], tolerance: int) -> int:
    """Size of the largest one-to-one matching within the tolerance.

    For points on a line, matching the two earliest that fit and dropping the earlier head where
    they do not is optimal (an exchange argument; held against brute force in the tests).
    """
    visible, thermal = sorted(visible), sorted(thermal)
    i = j = count = 0
    while i < len(visible) and j < len(thermal):
        if abs(visible[i] - thermal[j]) <= tolerance:
            count, i, j = count + 1, i + 1, j + 1
        elif visible[i] < thermal[j]:
            i += 1
        else:
            j += 1
    return count


def greedy_skews(events: list[Event], slop: int, queue_size: int = 8) -> list[int]:
    """message_filters' approximate rule: on arrival, the nearest within slop that is there."""
    queues: dict[Stream, list[int]] = {Stream.VISIBLE: [], Stream.THERMAL: []}
    skews = []
    for event in events:
        mine = queues[event.stream]
        other = queues[Stream.THERMAL if event.stream is Stream.VISIBLE else Stream.VISIBLE]
        mine.append(event.stamp)
        while len(mine) > queue_size:
            mine.remove(min(mine))
        near = min(other, key=lambda stamp: abs(stamp - event.stamp), default=None)
        if near is not None and event.stamp in mine and abs(near - event.stamp) < slop:
            skews.append(abs(near - event.stamp))
            mine.remove(event.stamp)
            other.remove(near)
    return skews


@dataclass(frozen=True)
class Schedule:
    """Two cameras for a while, with the tolerance and offset that a user would configure."""

    name: str
    visible: Camera
    thermal: Camera
    tolerance_ms: float = 20.0
    known_offset_ms: float = 0.0
    seconds: float = 120.0

    def events(self, seed: int) -> list[Event]:
        return merge(
            self.visible.frames(self.seconds, 2 * seed),
            self.thermal.frames(self.seconds, 2 * seed + 1),
        )


PLAIN = Camera(jitter_ms=0.5)
LOSSY = Camera(jitter_ms=0.5, loss=0.02)
REALISTIC = [
    Schedule("30/30 exact", Camera(), Camera()),
    Schedule("30/30 jitter 1 ms", Camera(jitter_ms=1), Camera(jitter_ms=1)),
    Schedule("30/30 jitter 4 ms", Camera(jitter_ms=4), Camera(jitter_ms=4)),
    Schedule("30/30 loss 2 %", LOSSY, LOSSY),
    Schedule("30/30 loss 10 %", replace(LOSSY, loss=0.1), replace(LOSSY, loss=0.1)),
    Schedule("30/30 unknown offset 10 ms", PLAIN, replace(PLAIN, offset_ms=10)),
    Schedule("30/30 unknown offset -12 ms, loss 2 %", LOSSY, replace(LOSSY, offset_ms=-12)),
    Schedule("30/30 unknown offset 16.7 ms", PLAIN, replace(PLAIN, offset_ms=16.7)),
    Schedule(
        "30/30 offset 16.7 ms, jitter 3 ms, tolerance 25 ms",
        Camera(jitter_ms=3),
        Camera(jitter_ms=3, offset_ms=16.7),
        tolerance_ms=25.0,
    ),
    Schedule(
        "30/30 known offset 45 ms", PLAIN, replace(PLAIN, offset_ms=45), known_offset_ms=-45.0
    ),
    Schedule("30/30 drift through a whole period", PLAIN, replace(PLAIN, rate_hz=30.02)),
    Schedule(
        "30/30 drift, jitter 2 ms, loss 1 %",
        Camera(jitter_ms=2, loss=0.01),
        Camera(rate_hz=29.97, jitter_ms=2, loss=0.01),
    ),
    Schedule("30/60", PLAIN, replace(PLAIN, rate_hz=60.0)),
    Schedule(
        "30/60 offset 5 ms, jitter 2 ms, loss 2 %",
        Camera(jitter_ms=2, loss=0.02),
        Camera(rate_hz=60.0, offset_ms=5, jitter_ms=2, loss=0.02),
    ),
    Schedule("60/30 drift", Camera(rate_hz=60.0, jitter_ms=1), Camera(rate_hz=29.95, jitter_ms=1)),
    Schedule("30/9", PLAIN, Camera(rate_hz=9.0, jitter_ms=0.5)),
    Schedule(
        "30/9 jitter 3 ms, loss 2 %",
        Camera(jitter_ms=3, loss=0.02),
        Camera(rate_hz=8.93, jitter_ms=3, loss=0.02),
    ),
    Schedule("30/25", PLAIN, Camera(rate_hz=25.0, jitter_ms=0.5)),
    Schedule("30/30 thermal 60 ms behind in transport", LOSSY, replace(LOSSY, late_ms=65.0)),
]

WIDE_TOLERANCE = Schedule(
    "30/30 offset 10 ms, loss 2 %, tolerance 45 ms",
    LOSSY,
    replace(LOSSY, offset_ms=10),
    tolerance_ms=45.0,
)
OVERTAKING = Schedule(
    "30/30 with up to 45 ms of transport delay and overtaking",
    replace(PLAIN, overtaking=True, late_jitter_ms=45.0),
    replace(PLAIN, overtaking=True, late_jitter_ms=45.0),
)
