# SPDX-License-Identifier: Apache-2.0
"""When each recorded frame is sent, and what stamp it gets, so that its age means something.

The recording's time axis is laid on the wall clock by one straight line for both streams: a frame
that was recorded 1 s after the first is sent 1 s / rate after it, and its stamp goes the same way.
So what was of one moment stays of one moment, a frame that was late stays late, and everything,
skews too, shrinks with the rate as if cameras and scene ran that much faster. The line is laid so
that the quickest frame of the recording is stamped in the instant in which it is due: a recording
of last year, or of a camera whose clock was off by hours, gives ages of milliseconds all the same.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator, Sequence

from fusion_ros.streams.ledger import Stream


@dataclasses.dataclass(frozen=True)
class PlayedFrame:
    """One message to send. `stamp_ns` is 0 where the recorded one is; `cdr` is serialised."""

    stream: Stream
    arrived_ns: int
    stamp_ns: int
    cdr: bytes


@dataclasses.dataclass(frozen=True)
class TimeLine:
    """Recorded time to wall-clock time.

    Attributes:
        rate: how many times as fast as recorded.
        begin_ns: when the first frame is due, by the wall clock.
        first_arrived_ns: when it was recorded.
        delay_ns: least time from a recorded stamp to its frame's arrival, see `least_delay_ns`.
        thermal_offset_ns: the node's constant offset. It is not shrunk: the node adds it as it is.
    """

    rate: float
    begin_ns: int
    first_arrived_ns: int
    delay_ns: int = 0
    thermal_offset_ns: int = 0

    def due_ns(self, frame: PlayedFrame) -> int:
        """When to send a frame."""
        return self._on_the_wall(frame.arrived_ns)

    def stamp_ns(self, frame: PlayedFrame) -> int:
        """What to stamp it with; a missing stamp stays missing."""
        if frame.stamp_ns <= 0:
            return 0
        offset_ns = self.thermal_offset_ns if frame.stream is Stream.THERMAL else 0
        return self._on_the_wall(frame.stamp_ns + offset_ns + self.delay_ns) - offset_ns

    def _on_the_wall(self, recorded_ns: int) -> int:
        return self.begin_ns + round((recorded_ns - self.first_arrived_ns) / self.rate)


def least_delay_ns(frames: Sequence[PlayedFrame], thermal_offset_ns: int = 0) -> int:
    """The least time from the moment that a stamp names to the frame's arrival; 0 without stamps.

    Negative where stamps lie ahead of the recorder's clock.
    """
    offsets = {Stream.VISIBLE: 0, Stream.THERMAL: thermal_offset_ns}
    stamped = [f for f in frames if f.stamp_ns > 0]
    return min((f.arrived_ns - f.stamp_ns - offsets[f.stream] for f in stamped), default=0)


def rate_hz(frames: Sequence[PlayedFrame], stream: Stream) -> float:
    """Mean rate of a stream as recorded; 0 for fewer than two frames."""
    arrived = [f.arrived_ns for f in frames if f.stream is stream]
    span_ns = max(arrived) - min(arrived) if arrived else 0
    return (len(arrived) - 1) * 1e9 / span_ns if span_ns else 0.0


def over_and_over(frames: Sequence[PlayedFrame], seconds: float) -> Iterator[PlayedFrame]:
    """So many seconds of recorded time, the frames again and again, time going on forward."""
    visible_hz = rate_hz(frames, Stream.VISIBLE)
    first = min(f.arrived_ns for f in frames)
    last = max(f.arrived_ns for f in frames)
    round_ns = last - first + round(1e9 / visible_hz if visible_hz else 1e8)
    end_ns = first + round(seconds * 1e9)
    shift_ns = 0
    while True:
        for frame in frames:
            arrived_ns = frame.arrived_ns + shift_ns
            if arrived_ns > end_ns:
                return
            stamp_ns = frame.stamp_ns + shift_ns if frame.stamp_ns > 0 else 0
            yield dataclasses.replace(frame, arrived_ns=arrived_ns, stamp_ns=stamp_ns)
        shift_ns += round_ns


def with_stamp(cdr: bytes, stamp_ns: int) -> bytes:
    """A serialised message that begins with a header, with another stamp.

    CDR: 4 bytes of encapsulation (the second one tells the byte order), then seconds as int32 and
    nanoseconds as uint32.
    """
    order = "<" if cdr[1] & 1 else ">"
    stamp = struct.pack(f"{order}iI", *divmod(stamp_ns, 1_000_000_000))
    return b"".join((cdr[:4], stamp, memoryview(cdr)[12:]))


def stamp_of(cdr: bytes) -> int:
    """The stamp of such a message, in nanoseconds."""
    seconds, nanoseconds = struct.unpack_from("<iI" if cdr[1] & 1 else ">iI", cdr, 4)
    return seconds * 1_000_000_000 + nanoseconds
