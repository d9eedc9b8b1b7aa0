# SPDX-License-Identifier: Apache-2.0
"""Recorded frames as messages to send, read ahead of their due time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence

from fusion_ros.imaging.encodings import EncodingError
from fusion_ros.recordings.recording import Damage, RecordedFrame
from fusion_ros.replay.findings.evidence import Finding, Severity
from fusion_ros.replay.findings.reading_faults import of_damage
from fusion_ros.replay.live.time_line import PlayedFrame

_AHEAD = 16


class Messages:
    """Makes messages of recorded frames and counts damaged frames.

    Args:
        serialise: makes a message of a frame that was not recorded as a ROS 2 message.
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
                continue
            yield PlayedFrame(frame.stream, frame.arrived_ns, frame.stamp_ns, bytes(cdr))


class ReadAhead:
    """An iterator that a background thread reads a few items ahead."""

    def __init__(self, items: Iterator[PlayedFrame]) -> None:
        self._items = items
        self._waiting: queue.Queue[PlayedFrame | BaseException | None] = queue.Queue(_AHEAD)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, name="read ahead")

    def __enter__(self) -> Iterator[PlayedFrame]:
        self._thread.start()
        return self._items_read()

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        while self._thread.is_alive():  # the thread may wait until the queue has space
            try:
                self._waiting.get(timeout=0.05)
            except queue.Empty:
                continue
        self._thread.join()

    def _read(self) -> None:
        try:
            for item in self._items:
                self._waiting.put(item)
                if self._stop.is_set():
                    return
        except Exception as error:  # raised again where the frames are used
            self._waiting.put(error)
        self._waiting.put(None)

    def _items_read(self) -> Iterator[PlayedFrame]:
        while (item := self._waiting.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item


def reading_findings(damage: Sequence[Damage], damaged_frames: int) -> list[Finding]:
    """Return the parts of a recording that were not read, as the offline replay does."""
    found = list(of_damage(damage))
    if damaged_frames:
        found.append(
            Finding(
                "damaged_messages",
                Severity.ERROR,
                f"{damaged_frames} frames are cut or damaged",
                "They were not sent to the fuse node.",
                "Replay without --live: the report names the first one of each kind.",
            )
        )
    return found
