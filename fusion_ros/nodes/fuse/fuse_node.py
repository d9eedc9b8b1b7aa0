# SPDX-License-Identifier: Apache-2.0
"""The fuse node: pairs a visible and a thermal stream and publishes their fusion.

A lifecycle node. `configure` reads the parameters, loads the weights, prepares the engine and
creates the publishers; `cleanup` releases them. `activate` subscribes and starts to fuse;
`deactivate` ends both.
"""

from __future__ import annotations

import dataclasses
import sys
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from std_msgs.msg import Header

from fusion_ros.nodes.fuse.reload import ReloadService
from fusion_ros.nodes.fuse.reporting import report as reporting
from fusion_ros.nodes.fuse.session import Active, Configured
from fusion_ros.nodes.runtime.executor import NodeExecutor
from fusion_ros.nodes.runtime.log_lines import error_line, error_lines, info_line, progress
from fusion_ros.nodes.runtime.node_process import run_node
from fusion_ros.nodes.runtime.parameter_server import ParameterServer
from fusion_ros.nodes.runtime.process_tuning import calm_garbage_collection
from fusion_ros.nodes.runtime.rclpy_compatibility import (
    answer_impossible_transitions,
    destroy_state_machine,
)
from fusion_ros.nodes.runtime.topic_names import COMPRESSED
from fusion_ros.outside_text import printable
from fusion_ros.parameters import FuseParameters, ParameterError
from fusion_ros.pipeline_factory import apply_live, make_live_pipeline
from fusion_ros.streams.ledger import Stream

if TYPE_CHECKING:
    from fusion_ros.pipeline import FusionPipeline

PipelineMaker = Callable[[FuseParameters, Callable[[str, bool], object]], "FusionPipeline"]


class FuseNode(LifecycleNode):
    """The lifecycle node; `docs/reference/parameters.md` lists its parameters.

    Args:
        pipeline_maker: builds the pipeline at `configure` and `~/reload`.
        node_options: for `rclpy.lifecycle.LifecycleNode`.

    Raises:
        ParameterError: a parameter given at start cannot be used.
    """

    def __init__(
        self, *, pipeline_maker: PipelineMaker = make_live_pipeline, **node_options: Any
    ) -> None:
        super().__init__("fuse_node", **node_options)
        answer_impossible_transitions(self)
        self._pipeline_maker = pipeline_maker
        self._configured: Configured | None = None
        self._active: Active | None = None
        #: Whether the last transition failed for a setting or a file that it names.
        self.has_unusable_setting = False
        self.parameters = ParameterServer(
            self, is_configured=lambda: self._configured is not None, apply=self._apply
        )
        self._reload = ReloadService(
            self,
            make=self._new_pipeline,
            replace=self._replace_pipeline,
            is_configured=lambda: self._configured is not None,
        )

    # --- transitions ------------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load weights, prepare the engine and create the publishers."""
        begun_s = time.monotonic()
        values = self.parameters.current
        self.get_logger().info(
            f"configuring: engine {values.engine!r} on {values.device!r}, "
            f"{printable(values.weights) or 'preset ' + repr(values.preset)}"
        )
        try:
            self._check_topics()
            with progress(info_line(self), "configuring: preparing the engine"):
                pipeline = self._new_pipeline()
            try:
                self._configured = Configured(self, pipeline, values, self._report)
            except Exception:
                pipeline.close()
                raise
        except Exception as error:
            return self._refuse("configure", error)
        engine = pipeline.engine.describe()
        self.get_logger().info(
            f"configured in {time.monotonic() - begun_s:.1f} s: {engine.preset} (weights "
            f"{engine.weights_sha256[:12]}) on {engine.name}, {engine.device}, {engine.precision}"
        )
        return TransitionCallbackReturn.SUCCESS

    def _check_topics(self) -> None:
        """Refuse one topic for both cameras, raw or compressed.

        Raises:
            ValueError: names the topic and the remapping to correct.
        """
        names = {
            self.resolve_topic_name(f"{stream.value}/image_raw").removesuffix(COMPRESSED)
            for stream in Stream
        }
        if len(names) == 1:
            raise ValueError(
                f"visible/image_raw and thermal/image_raw are both remapped to {names.pop()}; "
                "remap thermal/image_raw to the thermal camera's topic"
            )

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to fuse."""
        assert self._configured is not None
        if self._configured.is_pipeline_busy():
            busy = RuntimeError(
                "the engine has not returned since the node was active last; clean up and "
                "configure, which makes another one, or restart the node"
            )
            return self._refuse("activate", busy)
        super().on_activate(state)  # the publishers first: a frame may arrive at once
        try:
            self._active = Active(
                self,
                self._configured,
                self.parameters.current,
                self._report_each_frame,
                self._report,
            )
        except Exception as error:
            super().on_deactivate(state)
            return self._refuse("activate", error)
        self._configured.history.restart(self._configured.counters.ledger.snapshot())
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop fusing; the running pair is finished and published."""
        self._close_active()
        if self._configured is not None:
            self._configured.pipeline.reset()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release pipeline, publishers and timers."""
        self.release()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Deactivate and clean up, from any state."""
        self.release()
        return TransitionCallbackReturn.SUCCESS

    def _refuse(self, transition: str, error: Exception) -> TransitionCallbackReturn:
        """Log why a transition fails; rclpy does not log the exception."""
        self.has_unusable_setting = isinstance(error, ValueError)
        # Messages of these types name the cause; any other is a fault of this package.
        expected = isinstance(error, ValueError | RuntimeError | OSError | ImportError)
        if expected:
            error_line(self)(f"cannot {transition}: {error}")
        else:
            text = "".join(traceback.format_exception(error))
            error_lines(self)(f"cannot {transition}: {text}")
        return TransitionCallbackReturn.FAILURE

    def destroy_node(self) -> None:
        """Destroy the node and remove it from the graph at once."""
        super().destroy_node()
        destroy_state_machine(self)

    def release(self) -> None:
        """Release all resources, from any state."""
        self._reload.wait()
        self._close_active()
        if self._configured is not None:
            self._configured.close()
            self._configured = None

    def _close_active(self) -> None:
        if self._active is not None:
            self._active.close()
            self._active = None

    # --- changes while running --------------------------------------------------------------------

    def _apply(self, values: FuseParameters) -> None:
        if self._configured is not None:
            self._configured.outputs.spots.check_unit(values)
            apply_live(self._configured.pipeline, values)
        if self._active is not None:
            self._active.apply(values)

    def _new_pipeline(self) -> FusionPipeline:
        return self._pipeline_maker(self.parameters.current, self._log_engine_change)

    def _log_engine_change(self, text: str, good: bool) -> None:
        """Log a change; in the worker's thread."""
        (info_line if good else error_line)(self)(text)

    def _replace_pipeline(self, pipeline: FusionPipeline) -> tuple[bool, str]:
        """Use another pipeline from the next pair on. Return success and a message."""
        if self._configured is None:
            pipeline.close()
            return False, "the node was cleaned up during the reload; nothing was reloaded"
        apply_live(pipeline, self.parameters.current)
        if self._active is not None and self._active.calibration is not None:
            try:
                self._active.calibration.reload()
            except ValueError as error:  # the file changed after the pipeline was made
                pipeline.close()
                return False, f"kept the running pipeline: {error}"
            pipeline.registration = self._active.calibration.registration()
        old, self._configured.pipeline = self._configured.pipeline, pipeline
        if self._active is not None:
            self._active.lane.pipeline.replace(pipeline, done_with_old=old.close)
        else:
            old.close()
        return True, f"running weights {pipeline.engine.describe().weights_sha256[:12]}"

    # --- reports ----------------------------------------------------------------------------------

    def _report(self) -> None:
        """Publish status and diagnostics, once each second."""
        configured, active = self._configured, self._active
        if configured is None:
            return
        if active is not None:
            active.follow()
        configured.history.add(configured.counters.ledger.snapshot())
        report = self._make_report(configured)
        if active is not None:
            report = dataclasses.replace(report, **active.input_fields())
        configured.outputs.publish_diagnostics(report)
        configured.outputs.publish_status(report)
        configured.unpublished = report.unpublished
        lost_after_fusing = report.lost and report.counts.visible.fused
        if lost_after_fusing and self.parameters.current.on_stream_loss == "stop":
            names = " and ".join(sorted(stream.value for stream in report.lost))
            self.get_logger().error(f"lost: {names}; deactivating (on_stream_loss is 'stop')")
            self.trigger_deactivate()

    def _report_each_frame(self) -> None:
        """In the publishing thread, after each fused image."""
        configured = self._configured
        if configured is not None and self.parameters.current.status_every_frame:
            configured.outputs.publish_status(self._make_report(configured))

    def _make_report(self, configured: Configured) -> reporting.NodeReport:
        """Make a report; called in two threads, so it uses no data of the executor's thread."""
        active, values = self._active, self.parameters.current
        outputs, counters = configured.outputs, configured.counters
        thermal, engine = counters.watches[Stream.THERMAL], configured.pipeline.engine
        lanes = outputs.lanes
        fields: dict[str, Any] = {
            "mode": reporting.MODE_INACTIVE,
            "thermal_offset_ms": values.thermal_offset_ms,
        }
        if active is not None:
            lanes = [active.lane.publishing, *lanes]
            fields = active.report_fields()
        stalled_s = reporting.stalled_s(configured.history.recent(reporting.STALLED_S))
        if stalled_s and active is not None and not active.is_idle:
            fields["mode"] = reporting.MODE_STALLED
        return reporting.NodeReport(
            header=Header(stamp=self.get_clock().now().to_msg(), frame_id=outputs.last_frame_id),
            engine=engine.describe(),
            engine_is_fallback=getattr(engine, "is_fallback", False),
            counts=counters.ledger.snapshot(),
            recent=configured.history.recent(),
            stalled_s=stalled_s,
            rejections=counters.rejections.newest(),
            telemetry=counters.telemetry.snapshot(),
            alignment_warn_px=values.alignment_warn_px,
            thermal_repeated=thermal.repeated,
            thermal_shutter=thermal.flat,
            zones=outputs.spots.zones if active is not None else (),
            zones_age_s=outputs.spots.zones_age_s if active is not None else None,
            unpublished={lane.topic: lane.unpublished for lane in lanes},
            unpublished_before=configured.unpublished,
            blocked_s={lane.topic: lane.blocked_s for lane in lanes if lane.blocked_s},
            **fields,
        )


def main(
    args: list[str] | None = None, *, pipeline_maker: PipelineMaker = make_live_pipeline
) -> int:
    """Run the node until SIGINT, SIGTERM or a shutdown of the context.

    Args:
        args: replacement of the command line.
        pipeline_maker: as for `FuseNode`.

    Returns:
        The exit code: 0 after a stop; otherwise see `run_node`.
    """

    def make(values: FuseParameters, log: Callable[[str, bool], object]) -> FusionPipeline:
        pipeline = pipeline_maker(values, log)
        calm_garbage_collection()
        return pipeline

    return run_node(
        "fuse_node",
        lambda: FuseNode(pipeline_maker=make),
        autostart_and_spin,
        args=args,
        refusals=(ParameterError,),
        close=FuseNode.release,
    )


def autostart_and_spin(node: FuseNode, executor: NodeExecutor) -> int:
    """Configure and activate if `autostart` is set, and spin; return the exit code."""
    if node.parameters.current.autostart:
        for transition in (node.trigger_configure, node.trigger_activate):
            if transition() != TransitionCallbackReturn.SUCCESS:
                if not node.context.ok():
                    return 0
                return 2 if node.has_unusable_setting else 1
    executor.spin()
    return 0


if __name__ == "__main__":
    sys.exit(main())
