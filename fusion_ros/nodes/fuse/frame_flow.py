# SPDX-License-Identifier: Apache-2.0
"""The path of a frame through the node: message, checked frame, pair, fused image.

The executor's thread calls `take`, which reads the message, passes it to `PairFlow` and submits
pairs to the fusion lane. The lane fuses and publishes in two threads of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from fusion_ros.nodes.fuse.fusion_lane import FusionLane
from fusion_ros.nodes.fuse.reporting.clock_notice import ClockNotice
from fusion_ros.nodes.fuse.reporting.counters import Counters
from fusion_ros.nodes.runtime.codec import decode_image
from fusion_ros.nodes.runtime.log_lines import RepeatedEvents
from fusion_ros.nodes.runtime.wire import WireCompressedImage, WireError, WireImage, read_image
from fusion_ros.outside_text import printable
from fusion_ros.parameters import FuseParameters
from fusion_ros.streams.clock_offset import SECONDS_APART_MS, ClockDistance
from fusion_ros.streams.content import Fault
from fusion_ros.streams.flow_options import FlowOptions
from fusion_ros.streams.intake import IncomingFrame, Rejection
from fusion_ros.streams.ledger import Stream
from fusion_ros.streams.loss_policy import OTHER
from fusion_ros.streams.pair_flow import Decision, Pairer, PairFlow
from fusion_ros.streams.stamps import NS_PER_MS
from fusion_ros.streams.topic_names import thermal_beside

Parser = Callable[[bytes], WireImage | WireCompressedImage]


class FrameFlow:
    """Pairs and fuses the messages passed to `take`, from `start` to `stop`.

    Args:
        lane: fuses and publishes; started and stopped here.
        values: the node's parameters; `apply` takes changed ones.
        ros_clock_ns: the node's ROS clock, for frames that are stamped by arrival.
        log: logs a line about an event that is not a fault.
        image_topics: returns the names of all image topics in the graph.
        clock_ns: the monotonic clock that `counters.telemetry` uses.

    Raises:
        ModuleNotFoundError: `pairing_policy` needs message_filters, which is not installed.
    """

    def __init__(
        self,
        lane: FusionLane,
        values: FuseParameters,
        counters: Counters,
        *,
        ros_clock_ns: Callable[[], int] = time.time_ns,
        log: Callable[[str], object] = lambda text: None,
        image_topics: Callable[[], Iterable[str]] = tuple,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.lane = lane
        self._counters = counters
        self._log_repeated = RepeatedEvents(log)
        self._clock_ns = clock_ns
        self._image_topics = image_topics
        options = FlowOptions.of(values)
        self._pairs = PairFlow(
            options,
            counters.ledger,
            counters.watches,
            stamp_clock_ns=ros_clock_ns,
            is_registered=lambda: lane.pipeline.is_registered,
            pairer=_other_pairer(values.pairing_policy, options, counters),
            started_ns=clock_ns(),
        )
        self.loss = self._pairs.loss
        """Which camera is lost, and the present output."""
        self._notices: dict[Stream, ClockNotice] = {}
        if values.stamp_source == "header":
            self._notices = {
                stream: ClockNotice(clock_ns=ros_clock_ns, warn=counters.warn) for stream in Stream
            }
        self._topics: dict[Stream, str] = {}
        self._fault_texts: dict[tuple[Stream, Fault], str] = {}
        self.offset_hint_ms: float | None = None
        """Proposal for `thermal_offset_ms` of the last `estimate_offset`."""
        self.clocks: ClockDistance | None = None
        """Distance of the cameras' clocks after `thermal_offset_ms`, where it is seconds."""

    def start(self) -> None:
        """Begin to fuse."""
        self.lane.start()

    def stop(self) -> bool:
        """Finish the running job.

        Frames that wait for a partner end unpaired, waiting jobs superseded.

        Returns:
            False where a thread is left behind, see `FusionLane.stop`.
        """
        self._pairs.reset()
        return self.lane.stop()

    def apply(self, values: FuseParameters) -> None:
        """Take changed live parameters, which apply from the next frame on."""
        self.lane.values = values
        self._pairs.options = FlowOptions.of(values)

    @property
    def thermal_offset_ms(self) -> float:
        """Offset in use."""
        return self._pairs.thermal_offset_ns / NS_PER_MS

    def faults(self) -> Mapping[Stream, Mapping[Fault, str]]:
        """Return the faults that the streams show now, each with its description."""
        found = {
            stream: {
                fault: self._fault_texts.get((stream, fault), fault.text)
                for fault in Fault
                if fault in self._pairs.faults(stream)
            }
            for stream in Stream
        }
        if (shown := self.lane.effect_fault) is not None:
            fault, text = shown
            found[Stream.THERMAL][fault] = text
        return found

    def estimate_offset(self) -> None:
        """Renew offset, hint and `clocks`; about once a second, in the thread of `take`."""
        self._pairs.follow_offset()
        offsets = self._pairs.offsets
        estimate_ns = offsets.estimate_ns()
        self.offset_hint_ms = None if estimate_ns is None else estimate_ns / NS_PER_MS
        clocks = offsets.clock_distance()
        if clocks is not None:
            left_ns = clocks.offset_ns - self._pairs.thermal_offset_ns
            clocks = clocks if abs(left_ns) >= SECONDS_APART_MS * NS_PER_MS else None
        self.clocks = clocks
        if clocks is not None:
            self._counters.warn_repeated("clocks", f"{clocks}: set {clocks.remedy}")

    def take(
        self, stream: Stream, topic: str, serialized: bytes, parse: Parser = read_image
    ) -> None:
        """Process a message as the middleware delivers it; `parse` reads the topic's type."""
        arrived_ns = self._clock_ns()
        self._counters.telemetry.arrived(stream, arrived_ns)
        decision = self._pairs.take(stream, _incoming(serialized, parse), arrived_ns)
        if decision.jumped_back:
            self.lane.pipeline.reset_before_next_job()
        for pair in decision.pairs:
            self.lane.submit(pair)
        if decision.alone is not None:
            self.lane.submit(decision.alone)
        # The worker has its job, if any: logging and closer looks delay no image from here on.
        self._topics[stream] = topic
        self._log(stream, topic, decision)
        for at, change in self._pairs.examine(arrived_ns):
            self._warn_of(change.fault, at, self._topics[at])

    def _log(self, stream: Stream, topic: str, decision: Decision) -> None:
        if decision.seen.format_change is not None:
            before, after = decision.seen.format_change
            self._log_repeated(("format", stream), f"{topic} changed from {before} to {after}")
        checked = decision.checked
        if isinstance(checked, Rejection):
            subject = printable(topic)
            self._counters.rejections.add((stream,), subject, checked.reason, checked.message)
        elif self._notices:
            self._notices[stream].check(topic, checked.stamp_ns)
        if decision.is_back:
            self._log_repeated(("back", stream), f"{topic} is back")
        if decision.jumped_back:
            self._counters.telemetry.clock_jumped()
            self._log_repeated(
                "jump", f"{topic}: stamps jumped back (a looped recording?); pairing restarts"
            )
        if decision.alone_began:
            self._warn_of_loss(OTHER[stream], topic)
        if decision.alone_ended:
            self._log_repeated("both", "both cameras are back; fusing")

    def _warn_of_loss(self, lost: Stream, topic: str) -> None:
        why = f"lost (no new usable frame for {self.loss.timeout_ms(lost):.0f} ms)"
        if lost is Stream.THERMAL and not self.lane.pipeline.is_registered:
            why = "not calibrated yet"
        self._counters.warn_repeated(
            ("lost", lost),
            f"the {lost.value} camera is {why}: publishing {topic} alone until it is back "
            "(parameter on_stream_loss)",
        )

    def _warn_of(self, fault: Fault, stream: Stream, topic: str) -> None:
        text = f"{printable(topic)}: {fault.text}: {fault.remedy}"
        if fault is Fault.COLOURS:
            others = [printable(other) for other in thermal_beside(topic, self._image_topics())]
            text += f"; there are {', '.join(others)}" if others else ""
        first = (stream, fault) not in self._fault_texts
        self._fault_texts[stream, fault] = text
        if first:
            self._counters.warn(text)


def _incoming(serialized: bytes, parse: Parser) -> IncomingFrame | Rejection:
    try:
        message = parse(serialized)
    except WireError as error:
        return Rejection("malformed", str(error))
    encoding = message.format if isinstance(message, WireCompressedImage) else message.encoding
    return IncomingFrame(*message.header, encoding, partial(decode_image, message))


def _other_pairer(policy: str, options: FlowOptions, counters: Counters) -> Pairer | None:
    """Return the pairer of message_filters' policies, None for `nearest`."""
    if policy == "nearest":
        return None
    from fusion_ros.nodes.fuse.filter_pairing import FilterPairer

    return FilterPairer(
        policy=policy,
        tolerance_ns=options.tolerance_ns,
        thermal_offset_ns=options.thermal_offset_ns,
        queue_size=options.queue_size,
        ledger=counters.ledger,
    )
