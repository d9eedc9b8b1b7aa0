# SPDX-License-Identifier: Apache-2.0
"""Two cameras and a listener around a fuse node, for tests over real DDS."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from fusion_ros.engines.engine import EngineDescription, EngineError
from fusion_ros.imaging.encodings import ChannelOrder
from fusion_ros.nodes.fuse.fuse_node import FuseNode
from fusion_ros.nodes.fuse.reporting.counters import Counters
from fusion_ros.nodes.runtime.codec import encode_image
from fusion_ros.pipeline_factory import pipeline_around
from fusion_ros.streams.ledger import Stream

MS = 1_000_000


class AveragingEngine:
    """Engine that returns the mean of both images, so that every pixel can be checked.

    `gate`, where set, is waited for in every `infer`: a slow engine without a sleep.
    """

    visible_channels = 1
    output_channels = 1

    def __init__(self) -> None:
        self.gate: Any = None
        self.fail_with: Exception | None = None
        self.inferred = 0
        self.closed = False

    def warm_up(self, height: int, width: int) -> None:
        pass

    def infer(self, visible: np.ndarray, thermal: np.ndarray, **_: object) -> np.ndarray:
        self.inferred += 1
        if self.gate is not None:
            self.gate()
        if self.fail_with is not None:
            raise self.fail_with
        return ((visible.astype(np.uint16) + thermal) // 2).astype(np.uint8)

    def describe(self) -> EngineDescription:
        return EngineDescription("averaging", "cpu", "uint8", "custom", "0" * 64, {})

    def close(self) -> None:
        self.closed = True


class Rig:
    """Cameras, node and listener in one process, over real DDS.

    Args:
        ros: the test's ROS side.
        parameters: overrides of the fuse node.
        reliability: reliability of the cameras' publishers.
    """

    def __init__(
        self,
        ros: Any,
        parameters: dict[str, Any] | None = None,
        *,
        reliability: ReliabilityPolicy = ReliabilityPolicy.RELIABLE,
        cli_args: list[str] | None = None,
        activate: bool = True,
    ) -> None:
        self.ros = ros
        self.engine = AveragingEngine()
        self.next_stamp_ms = 100_000.0
        offered = QoSProfile(depth=50, reliability=reliability)
        self.cameras = ros.node("cameras")
        self.visible = self.cameras.create_publisher(Image, "visible/image_raw", offered)
        self.thermal = self.cameras.create_publisher(Image, "thermal/image_raw", offered)
        self.info = self.cameras.create_publisher(CameraInfo, "visible/camera_info", offered)
        self.thermal_info = self.cameras.create_publisher(
            CameraInfo, "thermal/camera_info", offered
        )
        self.fused: list[Image] = []
        self.infos: list[CameraInfo] = []
        self.statuses: list[Any] = []
        self.diagnostics: list[DiagnosticArray] = []
        listener = ros.node("listener")
        deep = QoSProfile(depth=100)
        listener.create_subscription(Image, "fused/image_raw", self.fused.append, deep)
        listener.create_subscription(CameraInfo, "fused/camera_info", self.infos.append, deep)
        listener.create_subscription(DiagnosticArray, "/diagnostics", self.diagnostics.append, deep)
        try:
            from fusion_ros.msg import FusionStatus

            listener.create_subscription(FusionStatus, "fused/status", self.statuses.append, deep)
        except ImportError:
            pass
        overrides = [Parameter(name, value=value) for name, value in (parameters or {}).items()]
        self.node = ros.add(
            FuseNode(
                pipeline_maker=lambda values, tell: pipeline_around(self.engine, values),
                context=ros.context,
                parameter_overrides=overrides,
                cli_args=cli_args,
            )
        )
        self.listener = listener
        if activate:
            self.activate()

    def activate(self) -> None:
        """Configure and activate the node, and wait for discovery."""
        assert self.node.trigger_configure() == TransitionCallbackReturn.SUCCESS
        assert self.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
        self.wait_for_discovery()

    def wait_for_discovery(self) -> None:
        self.ros.spin_until(
            lambda: (
                self.visible.get_subscription_count() == 1
                and self.thermal.get_subscription_count() == 1
                and self.info.get_subscription_count() >= 1
                and self.listener.count_publishers("fused/image_raw") == 1
                and self.listener.count_publishers("fused/camera_info") == 1
            ),
            "cameras, node and listener see each other",
        )

    def send_visible(self, stamp_ms: float, pixels: np.ndarray | None = None) -> Image:
        """Publish a visible frame, by default grey 100 in all channels."""
        if pixels is None:
            pixels = np.full((48, 64, 3), 100, np.uint8)
        order = ChannelOrder.RGB if pixels.ndim == 3 else ChannelOrder.GREY
        encoding = "rgb8" if pixels.ndim == 3 else "mono8"
        message = encode_image(pixels, order, encoding, header(stamp_ms, "visible_optical"))
        self.visible.publish(message)
        return message

    def send_thermal(self, stamp_ms: float, pixels: np.ndarray | None = None) -> Image:
        """Publish a thermal frame, by default 8-bit grey 200."""
        if pixels is None:
            pixels = np.full((48, 64), 200, np.uint8)
        encoding = {"uint8": "mono8", "uint16": "mono16", "float32": "32FC1"}[pixels.dtype.name]
        message = encode_image(
            pixels, ChannelOrder.GREY, encoding, header(stamp_ms, "thermal_optical")
        )
        self.thermal.publish(message)
        return message

    def send_pair(self, stamp_ms: float, skew_ms: float = 0.0) -> None:
        self.send_visible(stamp_ms)
        self.send_thermal(stamp_ms + skew_ms)

    def send_until(
        self, send: Callable[[float], object], condition: Callable[[], bool], what: str
    ) -> None:
        """Call `send` with increasing stamps [ms] until the condition holds."""

        def step() -> bool:
            self.next_stamp_ms += 30.0
            send(self.next_stamp_ms)
            for _ in range(10):  # more events than a pair causes, so that none pile up
                self.ros.executor.spin_once(timeout_sec=0.002)
            return condition()

        self.ros.spin_until(step, what)

    def status_mode(self) -> str:
        """`mode` of the newest status; empty before the first."""
        return self.statuses[-1].mode if self.statuses else ""

    def counts(self) -> dict[str, Any]:
        """Return the counts of the node's ledger."""
        return self.counters.ledger.snapshot().as_dict()

    @property
    def counters(self) -> Counters:
        """The node's counters since `configure`."""
        return self.node._configured.counters

    def is_lost(self, stream: Stream) -> bool:
        """Whether the node counts a camera as lost."""
        return self.node._active.flow.loss.is_lost(stream, time.monotonic_ns())

    def knows_camera(self) -> bool:
        """Whether the node has a camera_info of the visible camera."""
        return self.node._active.visible_info is not None

    def reliabilities(self) -> dict[str, str]:
        """Return the reliability of each camera's subscription."""
        return {s.value: sub.reliability for s, sub in self.node._active._images.items()}

    def wait_for_fused(self, count: int) -> list[Image]:
        self.ros.spin_until(lambda: len(self.fused) >= count, f"{count} fused images came")
        return self.fused

    def wait_for_settled(self, visible: int, thermal: int) -> dict[str, Any]:
        """Wait until this many frames were received and none is pending."""
        self.ros.spin_until(
            lambda: (
                self.counts()["visible"]["received"] == visible
                and self.counts()["thermal"]["received"] == thermal
                and self.counts()["visible"]["pending"] == 0
                and self.counts()["thermal"]["pending"] == 0
            ),
            f"{visible} visible and {thermal} thermal frames were received and settled",
        )
        return self.counts()

    def wait_for_received(self, count: int) -> None:
        """Wait until each stream has received this many frames."""
        self.ros.spin_until(
            lambda: all(counts["received"] >= count for counts in self.counts().values()),
            f"{count} frames of each stream were received",
        )


def pixels(message: Image) -> np.ndarray:
    """Return the HxWxC pixels of an 8-bit message without padding."""
    flat = np.frombuffer(message.data, np.uint8)
    return flat.reshape(message.height, message.width, -1)


def header(stamp_ms: float, frame_id: str) -> Header:
    stamp_ns = round(stamp_ms * MS)
    stamp = Time(sec=stamp_ns // 1_000_000_000, nanosec=stamp_ns % 1_000_000_000)
    return Header(stamp=stamp, frame_id=frame_id)


__all__ = ["AveragingEngine", "EngineError", "Rig", "header", "pixels"]
