# SPDX-License-Identifier: Apache-2.0
"""Resources of the configured and of the active node."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode
from rclpy.timer import Timer
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from fusion_ros.imaging.marks import Mark
from fusion_ros.nodes.fuse.awaited_frames import AwaitedFrames, wrong_type
from fusion_ros.nodes.fuse.frame_flow import FrameFlow
from fusion_ros.nodes.fuse.fusion_lane import FusionLane
from fusion_ros.nodes.fuse.jobs import Output
from fusion_ros.nodes.fuse.live_calibration import LiveCalibration
from fusion_ros.nodes.fuse.outputs import FusedOutputs
from fusion_ros.nodes.fuse.reporting.counters import Counters
from fusion_ros.nodes.fuse.reporting.recent_counts import CountHistory
from fusion_ros.nodes.fuse.reporting.report import MODE_IDLE
from fusion_ros.nodes.fuse.reporting.trace import TraceWriter
from fusion_ros.nodes.runtime.log_lines import info_line, warning_line
from fusion_ros.nodes.runtime.subscription import FollowingSubscription
from fusion_ros.nodes.runtime.topic_names import COMPRESSED, camera_info_topic
from fusion_ros.nodes.runtime.wire import read_compressed_image, read_image
from fusion_ros.parameters import FuseParameters
from fusion_ros.streams.ledger import Stream
from fusion_ros.streams.loss_policy import OTHER
from fusion_ros.streams.pair_flow import FramePair, LoneFrame

if TYPE_CHECKING:
    from fusion_ros.pipeline import FusionPipeline

REPORT_PERIOD_S = 1.0
DEMAND_PERIOD_S = 0.2
DEADLINE_PERIOD_S = 0.1
TRACED = (
    "stamp_ns", "arrived_ns", "skew_ms", "held", "latency_ms", "wait_ms", "tone_ms",
    "registration_ms", "colour_ms", "infer_ms", "recolour_ms", "encode_ms", "publish_ms",
)  # fmt: skip
"""Columns of the trace file."""


class Configured:
    """Resources from `configure` to `cleanup`: pipeline, counters, publishers, report timer.

    Raises:
        OSError: the trace file cannot be written.
        ParameterError: the zone file cannot be used.
    """

    def __init__(
        self,
        node: LifecycleNode,
        pipeline: FusionPipeline,
        values: FuseParameters,
        report: Callable[[], None],
    ) -> None:
        self._node = node
        self.pipeline = pipeline
        self.counters = Counters(warning_line(node))
        self.history = CountHistory(self.counters.ledger.snapshot())
        self._trace: TraceWriter | None = None
        if values.trace_file:
            self._trace = TraceWriter(values.trace_file, TRACED, warn=warning_line(node))
            self.counters.telemetry.trace = self._trace.write
        try:
            self.outputs = FusedOutputs(node, values)
        except Exception:
            self._close_trace()
            raise
        self._timer = _real_timer(node, REPORT_PERIOD_S, report)
        self.unpublished: Mapping[str, int] = {}
        """Unpublished messages by topic at the previous report."""
        self.is_pipeline_busy: Callable[[], bool] = lambda: False
        """Whether a call to the pipeline that a stop left behind has not returned."""

    def close(self) -> None:
        """Release all resources except those of a call that has not returned."""
        self._node.destroy_timer(self._timer)
        self.outputs.close()
        if self.is_pipeline_busy():
            self._node.get_logger().error(
                "the engine has not returned; it is left open until the process ends"
            )
        else:
            self.pipeline.close()
        self._close_trace()

    def _close_trace(self) -> None:
        if self._trace is not None:
            self._trace.close()


class Active:
    """Resources from `activate` to `deactivate`: the frame flow and its subscriptions.

    With the parameter `lazy` subscriptions exist only while there are subscribers.
    """

    def __init__(
        self,
        node: LifecycleNode,
        configured: Configured,
        values: FuseParameters,
        after_each_frame: Callable[[], None],
        report: Callable[[], None],
    ) -> None:
        self._node = node
        self._configured = configured
        self._outputs = configured.outputs
        self._ledger = configured.counters.ledger
        self._awaited = AwaitedFrames(info_line(node))
        self._take_values(values)
        self._after_each_frame = after_each_frame
        self._report = report
        self.visible_info: CameraInfo | None = None
        self.lane = FusionLane(
            configured.pipeline,
            values,
            configured.counters,
            self._publish,
            topic=configured.outputs.image_topic,
            can_publish=node.context.ok,
            replaced=self._keep_pipeline,
            follow_up=self._publish_thermal,
        )
        self.flow = FrameFlow(
            self.lane,
            values,
            configured.counters,
            ros_clock_ns=lambda: node.get_clock().now().nanoseconds,
            log=info_line(node),
            image_topics=lambda: _image_topics(node),
        )
        self.calibration = self._make_calibration(values)
        self._outputs.spots.restart()
        self.flow.start()
        self._deadline_timer = _real_timer(node, DEADLINE_PERIOD_S, self._check_deadline)
        self._images: dict[Stream, FollowingSubscription] = {}
        self._takers: dict[Stream, Callable[[bytes], None]] = {}
        self._info: FollowingSubscription | None = None
        self._demand_timer = None
        if values.lazy:
            self._demand_timer = _real_timer(node, DEMAND_PERIOD_S, self._follow_demand)
            self._follow_demand()
        else:
            self._subscribe()

    def _make_calibration(self, values: FuseParameters) -> LiveCalibration | None:
        options = values.registration_options()
        if not options.is_live:
            return None
        topic = camera_info_topic(self._node, Stream.THERMAL.value)
        return LiveCalibration(self._node, options, topic, self.lane.pipeline.register)

    @property
    def is_idle(self) -> bool:
        """Whether there are no subscribers and therefore no subscriptions."""
        return not self._images

    def apply(self, values: FuseParameters) -> None:
        """Take changed live parameters."""
        self._take_values(values)
        self.flow.apply(values)

    def _take_values(self, values: FuseParameters) -> None:
        self._values = values
        self._overlay_options = values.overlay_options()

    def follow(self) -> None:
        """Adapt to the publishers and log missing frames; to be called about once each second."""
        for subscription in self._images.values():
            subscription.follow()
        if self._info is not None:
            self._info.follow()
        if self.calibration is not None:
            self.calibration.follow()
        self.flow.estimate_offset()
        self._awaited.check(self._ledger.snapshot(), self._images)

    def report_fields(self) -> dict[str, Any]:
        """Return the fields of `NodeReport` that only an active node has; in any thread."""
        loss, now_ns = self.flow.loss, time.monotonic_ns()
        return {
            "mode": MODE_IDLE if self.is_idle else loss.mode(now_ns),
            "timeout_ms": {stream: loss.timeout_ms(stream) for stream in Stream},
            "lost": frozenset(stream for stream in Stream if loss.is_lost(stream, now_ns)),
            "thermal_offset_ms": self.flow.thermal_offset_ms,
            "thermal_offset_hint_ms": self.flow.offset_hint_ms,
            "clocks": self.flow.clocks,
            "faults": self.flow.faults(),
            "alignment": self.lane.alignment,
            "engine_hung_s": self.lane.hung_s,
            "calibration_missing": "" if self.calibration is None else self.calibration.missing(),
        }

    def input_fields(self) -> dict[str, Any]:
        """Return the fields of `NodeReport` about the publishers; in the executor's thread."""
        inputs = self._images
        wrong = {stream: wrong_type(stream, sub) for stream, sub in inputs.items()}
        return {
            "topics": {stream: sub.topic_name for stream, sub in inputs.items()},
            "publishers": {stream: sub.publisher_count() for stream, sub in inputs.items()},
            "wrong_types": {stream: text for stream, text in wrong.items() if text},
        }

    def close(self) -> None:
        """Stop taking frames and finish the running job."""
        self._node.destroy_timer(self._deadline_timer)
        if self._demand_timer is not None:
            self._node.destroy_timer(self._demand_timer)
        self._unsubscribe()
        if self.calibration is not None:
            self.calibration.close()
        if not self.flow.stop():
            self._configured.is_pipeline_busy = lambda: self.lane.is_busy

    def _check_deadline(self) -> None:
        if self.lane.check():
            self._report()

    def _keep_pipeline(self, pipeline: FusionPipeline) -> None:
        self._configured.pipeline = pipeline

    def _follow_demand(self) -> None:
        # Zones are watched without a subscriber, too.
        wanted = self._outputs.listeners() > 0 or self._outputs.spots.zones_age_s is not None
        if wanted and self.is_idle:
            self._subscribe()
        elif not wanted and not self.is_idle:
            self._unsubscribe()
            self._node.get_logger().info("idle: no subscribers of the fused image")

    def _subscribe(self) -> None:
        self._images = {stream: self._subscribe_image(stream) for stream in Stream}
        self._info = FollowingSubscription(
            self._node,
            CameraInfo,
            camera_info_topic(self._node, Stream.VISIBLE.value),
            self._keep_info,
        )
        self._awaited.restart(self._ledger.snapshot())
        inputs = ", ".join(f"{s.topic_name} ({s.reliability})" for s in self._images.values())
        self._node.get_logger().info(f"active: {inputs} -> {self._outputs.image_topic}")

    def _unsubscribe(self) -> None:
        for subscription in self._images.values():
            subscription.close()
        self._images = {}
        if self._info is not None:
            self._info.close()
            self._info = None

    def _subscribe_image(self, stream: Stream) -> FollowingSubscription:
        transport = getattr(self._values, f"{stream.value}_transport")
        topic = f"{stream.value}/image_raw"
        resolved = self._node.resolve_topic_name(topic)
        compressed = transport == "compressed" or (
            transport == "auto" and resolved.endswith(COMPRESSED)
        )
        if compressed and not resolved.endswith(COMPRESSED):
            topic = resolved = resolved + COMPRESSED
        read = read_compressed_image if compressed else read_image
        self._takers[stream] = lambda serialized: self.flow.take(stream, resolved, serialized, read)
        return FollowingSubscription(
            self._node,
            CompressedImage if compressed else Image,
            topic,
            lambda serialized: self._take(stream, serialized),
            reliability=getattr(self._values, f"{stream.value}_reliability"),
            depth=self._values.input_queue_size,
            raw=True,
        )

    def _take(self, stream: Stream, serialized: bytes) -> None:
        """Take an image, and the other camera's, if it waits: often it completes the pair."""
        self._takers[stream](serialized)
        partner = self._images.get(OTHER[stream])
        waiting = None if partner is None else partner.take_waiting()
        if waiting is not None:
            self._takers[OTHER[stream]](waiting)

    def _keep_info(self, message: CameraInfo) -> None:
        self.visible_info = message
        if self.calibration is not None:
            self.calibration.take_visible(message)

    def _publish(self, output: Output) -> dict[str, float]:
        """Publish one output; in the publishing thread."""
        timings_ms = self._outputs.publish_image(
            output,
            encoding=self._values.output_encoding,
            jpeg_quality_percent=self._values.jpeg_quality_percent,
            visible_info=self.visible_info,
        )
        self._after_each_frame()
        return timings_ms

    def _publish_thermal(
        self, job: FramePair | LoneFrame, output: Output, pipeline: FusionPipeline
    ) -> None:
        """Publish overlay, spots and registered images of a job; in the worker's thread."""
        options = self._overlay_options
        marks: tuple[Mark, ...] = ()
        with self._reported("spots and zones"):
            marks = self._outputs.spots.take(
                job, pipeline, drawn=self._outputs.draws_spots(options)
            )
        if not isinstance(job, LoneFrame):
            with self._reported("fused/overlay"):
                self._outputs.publish_overlay(job, output, pipeline, options, marks)
        with self._reported("thermal_registered"):
            self._outputs.thermal.take(
                job,
                pipeline,
                interpolation=self._values.thermal_registered_interpolation,
                visible_info=self.visible_info,
            )

    @contextmanager
    def _reported(self, name: str) -> Iterator[None]:
        """Log a failure of one output, which affects no other one."""
        try:
            yield
        except Exception as error:
            if self._node.context.ok():
                text = f"{name}: not computed: {type(error).__name__}: {error}"
                self._configured.counters.warn_repeated(name, text)


def _image_topics(node: LifecycleNode) -> list[str]:
    return [
        name
        for name, kinds in node.get_topic_names_and_types()
        if {"sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"} & set(kinds)
    ]


def _real_timer(node: LifecycleNode, period_s: float, callback: Callable[[], None]) -> Timer:
    """Return a timer that runs also while a simulation is paused or its clock is set back."""
    return node.create_timer(period_s, callback, clock=Clock(clock_type=ClockType.STEADY_TIME))
