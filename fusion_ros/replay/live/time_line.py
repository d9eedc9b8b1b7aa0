# SPDX-License-Identifier: Apache-2.0
"""The time at which each recorded frame is sent, and its new stamp.

One line maps recorded time to the wall clock, for arrival times and stamps of both streams. A frame
that was recorded 1 s after the first is sent 1 s / rate after it. Differences, such as skews and
delays, shrink with the rate, as if cameras and scene were that much faster. The line is placed such
that the frame with the least delay is stamped with its due time. So ages are milliseconds, even if
the recording is a year old or the clock of a camera was wrong by hours.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator, Sequence

from fusion_ros.streams.ledger import Stream


@dataclasses.dataclass(frozen=True)
class PlayedFrame:
    """A message to send: `cdr` is serialised, `stamp_ns` is 0 without a recorded stamp."""

    stream: Stream
    arrived_ns: int
    stamp_ns: int
    cdr: bytes


@dataclasses.dataclass(frozen=True)
class TimeLine:
    """Maps recorded time to wall-clock time.

    Attributes:
        rate: multiple of the recorded rate.
        begin_ns: due time of the first frame, by the wall clock.
        first_arrived_ns: recorded arrival of the first frame.
        delay_ns: least delay from stamp to arrival, see `least_delay_ns`.
        thermal_offset_ns: constant offset that the node adds. It does not shrink with the rate.
    """

    rate: float
    begin_ns: int
    first_arrived_ns: int
    delay_ns: int = 0
    thermal_offset_ns: int = 0

    def due_ns(self, frame: PlayedFrame) -> int:
        """Return the time at which to send a frame."""
        return self._on_the_wall(frame.arrived_ns)

    def stamp_ns(self, frame: PlayedFrame) -> int:
        """Return the new stamp of a frame; 0 if it has none."""
        if frame.stamp_ns <= 0:
            return 0
        offset_ns = self.thermal_offset_ns if frame.stream is Stream.THERMAL else 0
        return self._on_the_wall(frame.stamp_ns + offset_ns + self.delay_ns) - offset_ns

    def _on_the_wall(self, recorded_ns: int) -> int:
        return self.begin_ns + round((recorded_ns - self.first_arrived_ns) / self.rate)


def least_delay_ns(frames: Sequence[PlayedFrame], thermal_offset_ns: int = 0) -> int:
    """Return the least time from a stamp to the arrival of its frame; 0 without stamps.

    It is negative if stamps are ahead of the clock of the recorder.
    """
    offsets = {Stream.VISIBLE: 0, Stream.THERMAL: thermal_offset_ns}
    stamped = [f for f in frames if f.stamp_ns > 0]
    return min((f.arrived_ns - f.stamp_ns - offsets[f.stream] for f in stamped), default=0)


def rate_hz(frames: Sequence[PlayedFrame], stream: Stream) -> float:
    """Return the mean recorded rate of a stream; 0 for fewer than two frames."""
    arrived = [f.arrived_ns for f in frames if f.stream is stream]
    span_ns = max(arrived) - min(arrived) if arrived else 0
    return (len(arrived) - 1) * 1e9 / span_ns if span_ns else 0.0


def repeated(frames: Sequence[PlayedFrame], seconds: float) -> Iterator[PlayedFrame]:
    """Yield the frames again and again, with rising times, for `seconds` of recorded time."""
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
    """Return a serialised message that starts with a header, with another stamp.

    CDR: 4 bytes of encapsulation (the second holds the byte order), then seconds as int32 and
    nanoseconds as uint32.
    """
    order = "<" if cdr[1] & 1 else ">"
    stamp = struct.pack(f"{order}iI", *divmod(stamp_ns, 1_000_000_000))
    return b"".join((cdr[:4], stamp, memoryview(cdr)[12:]))


def stamp_of(cdr: bytes) -> int:
    """Return the stamp of such a message, in nanoseconds."""
    seconds, nanoseconds = struct.unpack_from("<iI" if cdr[1] & 1 else ">iI", cdr, 4)
    return seconds * 1_000_000_000 + nanoseconds
