# SPDX-License-Identifier: Apache-2.0
"""The way of a frame through the node: message, pixels, pair, fused image.

The executor's thread calls `take`: it reads the message, pairs it, and hands the newest job to the
fusion lane, which fuses in a thread of its own and publishes in another. Every frame that `take`
was given ends in exactly one count of the ledger.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from fusion_ros.nodes.fuse.frame_reader import FrameReader, Parser
from fusion_ros.nodes.fuse.fusion_lane import FusionLane
from fusion_ros.nodes.fuse.jobs import LoneFrame, Output
from fusion_ros.nodes.fuse.pipeline_slot import PipelineSlot
from fusion_ros.nodes.fuse.reporting.counters import Books
from fusion_ros.nodes.runtime.wire import read_image
from fusion_ros.parameters import FuseParameters
from fusion_ros.registration.alignment import Alignment
from fusion_ros.streams.clock_offset import SECONDS_APART_MS, ClockDistance, OffsetEstimator
from fusion_ros.streams.content import Fault
from fusion_ros.streams.intake import CheckedFrame
from fusion_ros.streams.ledger import Stream
from fusion_ros.streams.loss_policy import NS_PER_MS, OTHER, StreamLoss
from fusion_ros.streams.pairer import FramePairer
from fusion_ros.streams.repeated_events import RepeatedEvents

if TYPE_CHECKING:
    from fusion_ros.nodes.fuse.filter_pairing import FilterPairer
    from fusion_ros.pipeline import FusionPipeline

_NOT_CALIBRATED = (
    "where it lies on the visible picture is not known yet; /diagnostics says what is waited for "
    "(parameter registration_source)"
)
_PATIENCE_NS = 500_000_000
"""Frames are looked at closer after so long where no pair comes about."""


class FrameFlow:
    """Pairs and fuses what `take` is given, from `start` to `stop`.

    Args:
        pipeline: fuses; used by the worker's thread only while the flow runs.
        values: the node's parameters; `apply` takes changed ones.
        books: where frames are counted.
        publish: publishes each output, in the publishing thread.
        topic: of the outputs, for reports.
        ros_clock_ns: the node's ROS clock, for frames that are stamped by arrival.
        tell: takes a line of text about something that changed and need not be wrong.
        image_topics: gives the names of all image topics that are there.
        can_publish: whether the middleware still runs; a signal ends it before `stop` is called.
        replaced: takes the pipeline that goes on after an engine did not return.
        clock_ns: the monotonic clock that `books.telemetry` runs on.

    Raises:
        ModuleNotFoundError: a pairing policy of message_filters, which is not installed.
    """

    def __init__(
        self,
        pipeline: FusionPipeline,
        values: FuseParameters,
        books: Books,
        publish: Callable[[Output], dict[str, float]],
        *,
        topic: str = "fused/image_raw",
        ros_clock_ns: Callable[[], int] = time.time_ns,
        tell: Callable[[str], object] = lambda text: None,
        image_topics: Callable[[], Iterable[str]] = tuple,
        can_publish: Callable[[], bool] = lambda: True,
        replaced: Callable[[FusionPipeline], object] = lambda pipeline: None,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._books = books
        self._tell = RepeatedEvents(tell)
        self._clock_ns = clock_ns
        self._pairer = _make_pairer(values, books)
        self.lane = FusionLane(
            pipeline,
            values,
            books,
            publish,
            topic=topic,
            can_publish=can_publish,
            replaced=replaced,
            clock_ns=clock_ns,
        )
        """What fuses and publishes."""
        self._reader = FrameReader(
            values, books, ros_clock_ns=ros_clock_ns, tell=self._tell, image_topics=image_topics
        )
        self.loss = StreamLoss(
            values,
            books.watches,
            is_registered=lambda: self.pipeline.is_registered,
            clock_ns=clock_ns,
        )
        """Which camera is lost, and what comes out meanwhile."""
        self._visible_shape: tuple[int, int] | None = None
        self._visible_frame_id = ""
        self._offsets = OffsetEstimator()
        self.offset_hint_ms: float | None = None
        """What `thermal_offset_ms` had better be, as of the last `estimate_offset`."""
        self.clocks: ClockDistance | None = None
        """How far the cameras' clocks are apart after `thermal_offset_ms`, if it is seconds."""
        self._jumps_seen = 0

    def faults(self) -> Mapping[Stream, Mapping[Fault, str]]:
        """Faults that the streams show now, each with a line for people."""
        found = self._reader.faults()
        if not self.lane.has_no_effect:
            return found
        text = f"{Fault.NO_EFFECT.text}: {Fault.NO_EFFECT.remedy}"
        return {**found, Stream.THERMAL: {**found[Stream.THERMAL], Fault.NO_EFFECT: text}}

    def start(self) -> None:
        """Begin to fuse."""
        self.lane.start()

    def stop(self) -> bool:
        """Finish the job in work; what waits for a partner ends unpaired, what waits for the
        worker superseded.

        Returns:
            False where a thread had to be left behind, see `FusionLane.stop`.
        """
        self._pairer.reset()
        return self.lane.stop()

    def apply(self, values: FuseParameters) -> None:
        """Live parameters changed; they hold from the next frame on."""
        self.loss.values = self.lane.values = values
        self._reader.apply(values)
        self._pairer.tolerance_ns = round(values.pairing_tolerance_ms * NS_PER_MS)
        self._pairer.thermal_offset_ns = round(values.thermal_offset_ms * NS_PER_MS)

    @property
    def alignment(self) -> Alignment | None:
        """Whether both pictures lie on each other, where it was looked at."""
        return self.lane.alignment

    @property
    def pipeline(self) -> PipelineSlot:
        """Where the pipeline may be replaced, or its registration, while frames come in."""
        return self.lane.pipeline

    def estimate_offset(self) -> None:
        """Renew `offset_hint_ms`; now and then, in the thread that calls `take`."""
        estimate_ns = self._offsets.estimate_ns()
        self.offset_hint_ms = None if estimate_ns is None else estimate_ns / NS_PER_MS
        clocks = self._offsets.clock_distance()
        if clocks is not None:
            left_ns = clocks.offset_ns - self._pairer.thermal_offset_ns
            clocks = clocks if abs(left_ns) >= SECONDS_APART_MS * NS_PER_MS else None
        self.clocks = clocks
        if clocks is not None:
            self._books.warn_repeated("clocks", f"{clocks}: set {clocks.remedy}")

    def take(
        self, stream: Stream, topic: str, serialized: bytes, parse: Parser = read_image
    ) -> None:
        """A message came in on a topic.

        Args:
            stream: which camera it is from.
            topic: its topic, for people.
            serialized: the message as the middleware delivers it.
            parse: reads messages of the topic's type.
        """
        arrived_ns = self._clock_ns()
        self._books.telemetry.arrived(stream, arrived_ns)
        handed_over = self._take(stream, topic, serialized, parse, arrived_ns)
        # A closer look takes up to 0.3 ms: when the fusion has its work, or waits for none.
        self._reader.examine(arrived_ns, waited_ns=0 if handed_over else _PATIENCE_NS)

    def _take(
        self, stream: Stream, topic: str, serialized: bytes, parse: Parser, arrived_ns: int
    ) -> bool:
        """Return whether something was handed to the fusion."""
        was_lost = self.loss.is_lost(stream)
        if was_lost:
            self.loss.comes_back(stream, arrived_ns)
        frame = self._reader.read(stream, topic, serialized, parse, arrived_ns)
        if frame is None:
            return False
        if stream is Stream.VISIBLE:
            self._visible_shape = frame.pixels.pixels.shape[:2]
            self._visible_frame_id = frame.frame_id
        if was_lost and self.loss.alone is OTHER[stream] and not self.loss.is_lost(stream):
            self._tell(("back", stream), f"{topic} is back")
        self._offsets.observe(stream, frame.stamp_ns, arrived_ns)
        if stream is Stream.THERMAL and not self.pipeline.is_registered:
            self._books.rejections.frame(stream, topic, "not_calibrated", _NOT_CALIBRATED)
            return False
        if self.loss.goes_alone(stream, arrived_ns):
            self._take_alone(stream, topic, frame)
            return True
        return self._pair(stream, topic, frame)

    def _pair(self, stream: Stream, topic: str, frame: CheckedFrame) -> bool:
        if stream is Stream.VISIBLE:
            pairs = self._pairer.add_visible(frame.stamp_ns, frame)
        else:
            pairs = self._pairer.add_thermal(frame.stamp_ns, frame)
        if self._pairer.jumps > self._jumps_seen:
            self._jumps_seen = self._pairer.jumps
            self._books.telemetry.clock_jumped()
            self._tell(
                "jump", f"{topic}: stamps jumped back (a looped recording?); pairing starts anew"
            )
            self.pipeline.forget()
        for pair in pairs:
            if self.loss.paired():
                self._tell("both", "both cameras are there again; fusing")
            self.lane.submit(pair)
        return bool(pairs)

    def _take_alone(self, stream: Stream, topic: str, frame: CheckedFrame) -> None:
        """The other camera is lost: this picture goes out by itself."""
        if self.loss.alone is not stream:
            self.loss.alone = stream
            self._pairer.reset()
            lost = OTHER[stream]
            why = f"lost (no new usable frame for {self.loss.timeout_ms(lost):.0f} ms)"
            if lost is Stream.THERMAL and not self.pipeline.is_registered:
                why = "not calibrated yet"
            self._books.warn_repeated(
                ("lost", lost),
                f"the {lost.value} camera is {why}: publishing {topic} alone until it is back "
                "(parameter on_stream_loss)",
            )
        self._books.ledger.receive(stream)
        shape, frame_id = self._visible_shape, self._visible_frame_id
        self.lane.submit(LoneFrame(stream, frame, shape, frame_id))


def _make_pairer(
    values: FuseParameters, books: Books
) -> FramePairer[CheckedFrame, CheckedFrame] | FilterPairer[CheckedFrame, CheckedFrame]:
    common = {
        "tolerance_ns": round(values.pairing_tolerance_ms * NS_PER_MS),
        "thermal_offset_ns": round(values.thermal_offset_ms * NS_PER_MS),
        "queue_size": values.pairing_queue_size,
        "ledger": books.ledger,
    }
    if values.pairing_policy == "nearest":
        return FramePairer(**common)
    from fusion_ros.nodes.fuse.filter_pairing import FilterPairer

    return FilterPairer(policy=values.pairing_policy, **common)
