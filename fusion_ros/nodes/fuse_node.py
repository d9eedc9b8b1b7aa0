# SPDX-License-Identifier: Apache-2.0
"""The fuse node: pairs a visible and a thermal stream and publishes their fusion.

A lifecycle node. Each resource is made in one transition and released in its mirror: `configure`
reads the parameters, loads the weights, prepares the engine and makes the publishers, `cleanup`
undoes that; `activate` starts to fuse and subscribes, `deactivate` undoes that.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from fusion_ros.accounting import FrameLedger, Stream
from fusion_ros.nodes import report as reporting
from fusion_ros.nodes.frame_flow import Books, FrameFlow
from fusion_ros.nodes.outputs import FusedOutputs
from fusion_ros.nodes.parameter_server import ParameterServer
from fusion_ros.nodes.parameters import FuseParameters, ParameterError
from fusion_ros.nodes.rejections import RejectionLog
from fusion_ros.nodes.subscription import FollowingSubscription
from fusion_ros.nodes.telemetry import Telemetry

REPORT_PERIOD_S = 1.0


class FuseNode(LifecycleNode):
    """See the module; `docs/parameters.md` has the parameters, the README the topics.

    Args:
        make_pipeline: builds the pipeline at `configure`; tests give another one.
        node_options: for `rclpy.lifecycle.LifecycleNode`.

    Raises:
        ParameterError: a parameter given at start cannot be used.
    """

    def __init__(self, *, make_pipeline: Any = None, **node_options: Any) -> None:
        super().__init__("fuse_node", **node_options)
        self._make_pipeline = make_pipeline or pipeline_from_parameters
        self._configured: _Configured | None = None
        self._active: _Active | None = None
        self.parameters = ParameterServer(
            self, is_configured=lambda: self._configured is not None, apply=self._apply
        )

    @property
    def books(self) -> Books:
        """What is counted and measured since `configure`."""
        if self._configured is None:
            raise RuntimeError("the node counts nothing before it is configured")
        return self._configured.books

    @property
    def has_camera_info(self) -> bool:
        """Whether the visible camera's intrinsics are known since `activate`."""
        return self._active is not None and self._active.visible_info is not None

    def input_reliabilities(self) -> dict[Stream, str]:
        """What each input is subscribed as now: "reliable" or "best_effort"."""
        return self._active.reliabilities() if self._active is not None else {}

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Whatever can fail fails here, before a frame depends on it."""
        begun_s = time.monotonic()
        values = self.parameters.current
        try:
            pipeline = self._make_pipeline(values)
        except (
            ValueError,
            RuntimeError,
        ) as error:  # weights, engine: the message names the culprit
            self.get_logger().error(f"cannot configure: {error}")
            return TransitionCallbackReturn.FAILURE
        self._configured = _Configured(self, pipeline, values, self._report)
        engine = pipeline.engine.describe()
        self.get_logger().info(
            f"configured in {time.monotonic() - begun_s:.1f} s: {engine.preset} (weights "
            f"{engine.weights_sha256[:12]}) on {engine.name}, {engine.device}, {engine.precision}"
        )
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to fuse."""
        assert self._configured is not None
        super().on_activate(state)  # the publishers first: a frame may come at once
        self._active = _Active(
            self, self._configured, self.parameters.current, self._report_each_frame
        )
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop fusing; the pair in work is finished and published."""
        if self._active is not None:
            self._active.close()
            self._active = None
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give everything back."""
        self.release()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """From any state: what `deactivate` and `cleanup` do."""
        self.release()
        return TransitionCallbackReturn.SUCCESS

    def release(self) -> None:
        """Give back all that the node holds, in whatever state it is."""
        if self._active is not None:
            self._active.close()
            self._active = None
        if self._configured is not None:
            self._configured.close()
            self._configured = None

    def _apply(self, values: FuseParameters) -> None:
        if self._configured is not None:
            apply_to_pipeline(self._configured.pipeline, values)
        if self._active is not None:
            self._active.flow.apply(values)

    def _report(self) -> None:
        """Once a second."""
        if self._configured is None:
            return
        if self._active is not None:
            self._active.follow_publishers()
        report = self._make_report(self._configured)
        self._configured.outputs.publish_diagnostics(report)
        self._configured.outputs.publish_status(report)
        self._configured.reported = report.counts

    def _report_each_frame(self) -> None:
        """In the worker's thread, after each fused image."""
        if self._configured is not None and self.parameters.current.status_every_frame:
            self._configured.outputs.publish_status(self._make_report(self._configured))

    def _make_report(self, configured: _Configured) -> reporting.NodeReport:
        active = self._active
        telemetry = configured.books.telemetry.snapshot()
        fusing = reporting.MODE_FUSING if telemetry.fused_hz > 0 else reporting.MODE_WAITING
        return reporting.NodeReport(
            header=Header(
                stamp=self.get_clock().now().to_msg(),
                frame_id=configured.outputs.last_header.frame_id,
            ),
            mode=fusing if active else reporting.MODE_INACTIVE,
            engine=configured.pipeline.engine.describe(),
            counts=configured.books.ledger.snapshot(),
            before=configured.reported,
            telemetry=telemetry,
            topics=active.topics() if active else {},
            publishers=active.publisher_counts() if active else {},
            stream_timeout_ms=self.parameters.current.stream_timeout_ms,
            thermal_offset_ms=self.parameters.current.thermal_offset_ms,
            clock_jumps=active.flow.clock_jumps if active else 0,
        )


class _Configured:
    """What the node holds between `configure` and `cleanup`."""

    def __init__(self, node: FuseNode, pipeline: Any, values: FuseParameters, report: Any) -> None:
        self._node = node
        self.pipeline = pipeline
        ledger = FrameLedger()
        self.reported = ledger.snapshot()
        self.books = Books(ledger, Telemetry(), RejectionLog(ledger, node.get_logger().warning))
        self.outputs = FusedOutputs(node, reliability=values.output_reliability)
        self._timer = node.create_timer(REPORT_PERIOD_S, report)

    def close(self) -> None:
        self._node.destroy_timer(self._timer)
        self.outputs.close()
        self.pipeline.close()


class _Active:
    """What the node holds between `activate` and `deactivate`."""

    def __init__(
        self,
        node: FuseNode,
        configured: _Configured,
        values: FuseParameters,
        after_each_frame: Any,
    ) -> None:
        self._outputs = configured.outputs
        self._pipeline = configured.pipeline
        self._after_each_frame = after_each_frame
        self.visible_info: CameraInfo | None = None
        self.flow = FrameFlow(self._pipeline, values, configured.books, self._publish)
        self.flow.start()
        self._images = {
            stream: self._subscribe(node, stream, reliability)
            for stream, reliability in (
                (Stream.VISIBLE, values.visible_reliability),
                (Stream.THERMAL, values.thermal_reliability),
            )
        }
        self._info = FollowingSubscription(
            node, CameraInfo, _camera_info_topic(node), self._keep_info
        )
        inputs = ", ".join(f"{s.topic_name} ({s.reliability})" for s in self._images.values())
        node.get_logger().info(f"active: {inputs} -> {self._outputs.image_topic}")

    def topics(self) -> dict[Stream, str]:
        return {stream: sub.topic_name for stream, sub in self._images.items()}

    def reliabilities(self) -> dict[Stream, str]:
        return {stream: sub.reliability for stream, sub in self._images.items()}

    def publisher_counts(self) -> dict[Stream, int]:
        return {stream: sub.publisher_count() for stream, sub in self._images.items()}

    def follow_publishers(self) -> None:
        for subscription in (*self._images.values(), self._info):
            subscription.follow()

    def close(self) -> None:
        for subscription in (*self._images.values(), self._info):
            subscription.close()
        self.flow.stop()
        self._pipeline.reset()

    def _subscribe(self, node: FuseNode, stream: Stream, reliability: str) -> FollowingSubscription:
        topic = f"{stream.value}/image_raw"
        shown = node.resolve_topic_name(topic)
        return FollowingSubscription(
            node,
            Image,
            topic,
            lambda message: self.flow.take(stream, shown, message),
            reliability=reliability,
        )

    def _keep_info(self, message: CameraInfo) -> None:
        self.visible_info = message

    def _publish(self, image: Image) -> None:
        self._outputs.publish_image(image, self.visible_info)
        self._after_each_frame()


def pipeline_from_parameters(values: FuseParameters) -> Any:
    """The pipeline that the parameters describe, warmed up.

    Raises:
        ValueError: network config or weights (`ConfigError`, `WeightsError`).
        RuntimeError: the engine (`EngineError`).
    """
    # torch takes seconds to import; here, the node is on the graph by then.
    from fusion_ros.imaging.registration import RegistrationOptions, ThermalRegistration
    from fusion_ros.pipeline import FusionPipeline

    pipeline = FusionPipeline.from_preset(
        values.preset,
        weights=values.weights or None,
        engine=values.engine,
        device=values.device,
        precision=values.precision,
        registration=ThermalRegistration(RegistrationOptions(mode=values.registration_mode)),
    )
    apply_to_pipeline(pipeline, values)
    pipeline.warm_up(values.warm_up_height, values.warm_up_width)
    return pipeline


def apply_to_pipeline(pipeline: Any, values: FuseParameters) -> None:
    """Hand the live parameters to a pipeline; they hold from its next frame on."""
    from fusion_ros.imaging.tone import ToneOptions

    pipeline.tone.options = ToneOptions(
        low_percent=values.tone_low_percent, high_percent=values.tone_high_percent
    )


def _camera_info_topic(node: FuseNode) -> str:
    """`visible/camera_info` where that was remapped, else the one beside the image topic.

    As image_transport has it: whoever remaps the image alone means the camera it belongs to.
    """
    remapped = node.resolve_topic_name("visible/camera_info")
    if remapped != node.resolve_topic_name("visible/camera_info", only_expand=True):
        return remapped
    return node.resolve_topic_name("visible/image_raw").rpartition("/")[0] + "/camera_info"


def main(args: list[str] | None = None) -> int:
    """Run the node until it is told to stop (SIGINT, SIGTERM, shutdown of the context).

    Returns:
        0 after a stop, 1 where the node could not start.
    """
    try:
        rclpy.init(args=args)
    except KeyboardInterrupt:
        return 0
    context = rclpy.get_default_context()
    node = None
    try:
        node = FuseNode()
        if node.parameters.current.autostart and not _autostart(node):
            return 0 if not context.ok() else 1
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        try:
            executor.spin()
        finally:
            executor.shutdown()
    except ParameterError as error:
        rclpy.logging.get_logger("fuse_node").fatal(f"cannot start: {error}")
        return 1
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except Exception:
        # A context that was shut down meanwhile makes any call fail; then there is nothing to say.
        if context.ok():
            raise
    finally:
        if node is not None:
            node.release()
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


def _autostart(node: FuseNode) -> bool:
    for transition in (node.trigger_configure, node.trigger_activate):
        if transition() != TransitionCallbackReturn.SUCCESS:
            return False
    return True


if __name__ == "__main__":
    sys.exit(main())
