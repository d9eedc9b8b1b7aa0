# SPDX-License-Identifier: Apache-2.0
"""The node's side of `streams.intake`: from a message's bytes to a checked frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from fusion_ros.nodes.fuse.reporting.counters import Books
from fusion_ros.nodes.runtime.codec import decode_image
from fusion_ros.nodes.runtime.stamps import ClockNotice
from fusion_ros.nodes.runtime.wire import WireCompressedImage, WireError, WireImage
from fusion_ros.parameters import FuseParameters
from fusion_ros.streams.content import Fault
from fusion_ros.streams.intake import CheckedFrame, IncomingFrame, Intake, IntakeOptions, Rejection
from fusion_ros.streams.ledger import Stream
from fusion_ros.streams.outside_text import printable
from fusion_ros.streams.repeated_events import RepeatedEvents
from fusion_ros.streams.topic_names import thermal_beside

Parser = Callable[[bytes], WireImage | WireCompressedImage]


class FrameReader:
    """Reads the messages of both cameras, counts rejections and logs what changed.

    Args:
        values: the node's parameters.
        books: where rejected frames are counted, and each stream is watched.
        ros_clock_ns: the node's ROS clock, for frames that are stamped by arrival.
        tell: logs what changed and need not be wrong.
        image_topics: gives the names of all image topics that are there.
    """

    def __init__(
        self,
        values: FuseParameters,
        books: Books,
        *,
        ros_clock_ns: Callable[[], int],
        tell: RepeatedEvents,
        image_topics: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._books = books
        self._tell = tell
        self._image_topics = image_topics
        self._intake = Intake(intake_options(values), books.watches, clock_ns=ros_clock_ns)
        self._notices: dict[Stream, ClockNotice] = {}
        if values.stamp_source == "header":
            self._notices = {
                stream: ClockNotice(clock_ns=ros_clock_ns, warn=books.warn) for stream in Stream
            }
        self._topics: dict[Stream, str] = {}
        self._texts: dict[tuple[Stream, Fault], str] = {}

    def apply(self, values: FuseParameters) -> None:
        """Take changed live parameters; they hold from the next frame on."""
        self._intake.options = intake_options(values)

    def faults(self) -> Mapping[Stream, Mapping[Fault, str]]:
        """Faults that the streams' pixels show now, each with a line for people."""
        return {
            stream: {
                fault: self._texts.get((stream, fault), fault.text)
                for fault in Fault
                if fault in self._intake.faults(stream)
            }
            for stream in Stream
        }

    def read(
        self, stream: Stream, topic: str, serialized: bytes, parse: Parser, arrived_ns: int
    ) -> CheckedFrame | None:
        """Return the message as a frame, or None where it was rejected (and counted).

        Args:
            stream: which camera it is from.
            topic: its topic, for people.
            serialized: the message as the middleware delivers it.
            parse: reads messages of the topic's type.
            arrived_ns: when it came, by the monotonic clock.
        """
        reject = self._books.rejections.frame
        try:
            message = parse(serialized)
        except WireError as error:
            return reject(stream, topic, "malformed", str(error))
        compressed = isinstance(message, WireCompressedImage)
        frame = IncomingFrame(
            *message.header,
            message.format if compressed else message.encoding,
            partial(decode_image, message),
        )
        checked = self._intake.take(stream, frame, arrived_ns)
        seen = self._intake.observation
        if seen.format_change is not None:
            before, after = seen.format_change
            self._tell(("format", stream), f"{topic} changed from {before} to {after}")
        self._topics[stream] = topic
        if isinstance(checked, Rejection):
            return reject(stream, topic, checked.reason, checked.message)
        if self._notices:
            self._notices[stream].look(topic, checked.stamp_ns)
        return checked

    def examine(self, now_ns: int, *, waited_ns: int = 0) -> None:
        """Look closer at some frames; see `Intake.examine`."""
        for stream, change in self._intake.examine(now_ns, waited_ns=waited_ns):
            self._warn_of(change.fault, stream, self._topics[stream])

    def _warn_of(self, fault: Fault, stream: Stream, topic: str) -> None:
        text = f"{printable(topic)}: {fault.text}: {fault.remedy}"
        if fault is Fault.COLOURS:
            others = [printable(other) for other in thermal_beside(topic, self._image_topics())]
            text += f"; there are {', '.join(others)}" if others else ""
        first = (stream, fault) not in self._texts
        self._texts[stream, fault] = text
        if first:
            self._books.warn(text)


def intake_options(values: FuseParameters) -> IntakeOptions:
    """The parameters that the intake takes."""
    return IntakeOptions(values.stamp_source, values.detect_shutter, values.frozen_after_ms)
