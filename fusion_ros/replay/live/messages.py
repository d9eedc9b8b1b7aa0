# SPDX-License-Identifier: Apache-2.0
"""Recorded frames as messages to send, read ahead of their due time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from fusion_ros.imaging.encodings import EncodingError
from fusion_ros.recordings.recording import Damage, RecordedFrame
from fusion_ros.replay.findings.evidence import Finding, Severity
from fusion_ros.replay.findings.reading_faults import of_damage
from fusion_ros.replay.live.time_line import PlayedFrame

_AHEAD = 16


class Messages:
    """Makes messages of recorded frames and counts damaged frames.

    `serialise` makes a message of a frame that was not recorded as a ROS 2 message.
    """

    def __init__(self, serialise: Callable[[RecordedFrame], bytes]) -> None:
        self.damaged = 0
        self._serialise = serialise

    def of(self, frames: Iterable[RecordedFrame]) -> Iterator[PlayedFrame]:
        """Yield a message for each frame, except damaged ones."""
        for frame in frames:
            if frame.stamp_ns is None:
                self.damaged += 1
                continue
            try:
                cdr = frame.cdr if frame.cdr is not None else self._serialise(frame)
            except EncodingError:
                self.damaged += 1
            else:
                yield PlayedFrame(frame.stream, frame.arrived_ns, frame.stamp_ns, bytes(cdr))


def read_ahead(frames: Iterator[PlayedFrame]) -> Generator[PlayedFrame, None, None]:
    """Yield frames that a background thread reads a few ahead."""
    with ThreadPoolExecutor(1, "read ahead") as reader:
        waiting = deque(reader.submit(next, frames, None) for _ in range(_AHEAD))
        while (frame := waiting.popleft().result()) is not None:
            waiting.append(reader.submit(next, frames, None))
            yield frame


def reading_findings(damage: Sequence[Damage], damaged_frames: int) -> Iterator[Finding]:
    """Find the parts of a recording that were not read, as the offline replay does."""
    yield from of_damage(damage)
    if damaged_frames:
        yield Finding(
            "damaged_messages",
            Severity.ERROR,
            f"{damaged_frames} frames are cut or damaged",
            "They were not sent to the fuse node.",
            "Replay without --live: the report names the first one of each kind.",
        )
