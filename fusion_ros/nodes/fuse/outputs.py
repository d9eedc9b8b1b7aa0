# SPDX-License-Identifier: Apache-2.0
"""Publishers of the fuse node, from `configure` to `cleanup`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.lifecycle import LifecycleNode, LifecyclePublisher
from rclpy.publisher import Publisher
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from fusion_ros.imaging.encodings import ChannelOrder
from fusion_ros.imaging.marks import Mark
from fusion_ros.imaging.options import OverlayOptions
from fusion_ros.imaging.overlay import overlay
from fusion_ros.nodes.fuse.jobs import Output
from fusion_ros.nodes.fuse.messages import (
    header_of,
    info_of_grid,
    publish_message,
    serialized_image,
)
from fusion_ros.nodes.fuse.publishing_lane import PublishingLane
from fusion_ros.nodes.fuse.registered_thermal import RegisteredThermal
from fusion_ros.nodes.fuse.reporting.diagnostics import diagnostics
from fusion_ros.nodes.fuse.reporting.report import NodeReport, fill_status
from fusion_ros.nodes.fuse.thermal_spots import SpotsOutput
from fusion_ros.nodes.runtime.codec import encode_compressed
from fusion_ros.nodes.runtime.log_lines import warning_line
from fusion_ros.nodes.runtime.rclpy_compatibility import publish_serialized
from fusion_ros.nodes.runtime.subscription import image_quality
from fusion_ros.nodes.runtime.topic_names import COMPRESSED, camera_info_topic
from fusion_ros.parameters import FuseParameters
from fusion_ros.pipeline import FusionPipeline
from fusion_ros.streams.pair_flow import FramePair

try:
    from fusion_ros.msg import FusionStatus
except ImportError:  # a plain pip install has no generated messages
    FusionStatus = None


class FusedOutputs:
    """The fused image (raw and compressed), its camera_info, status and diagnostics.

    Image and camera_info are lifecycle publishers, which publish only while the node is active.
    Status and diagnostics are published while the node is configured. Each output has its own
    thread (`PublishingLane`); the thread of the raw image belongs to the caller.

    Raises:
        ParameterError: the zone file cannot be used.
    """

    def __init__(self, node: LifecycleNode, values: FuseParameters) -> None:
        self._node = node
        self.spots = SpotsOutput(node, values, self._lane)
        """Hot spots and zones."""
        offered = image_quality(values.output_reliability)
        self._image = node.create_lifecycle_publisher(Image, "fused/image_raw", offered)
        # As in image_transport: remapping the image remaps these two.
        self._compressed = node.create_lifecycle_publisher(
            CompressedImage, self._image.topic_name + COMPRESSED, offered
        )
        self._info = node.create_lifecycle_publisher(
            CameraInfo, camera_info_topic(node, "fused"), offered
        )
        self._overlay = node.create_lifecycle_publisher(Image, "fused/overlay", offered)
        self._diagnostics = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._status = None
        if FusionStatus is not None:
            self._status = node.create_publisher(FusionStatus, "fused/status", 10)
        else:
            node.get_logger().warning(
                "fusion_ros/msg/FusionStatus was not built, so fused/status is not published "
                "(/diagnostics has the same figures); build it with colcon, or with `make setup`"
            )
        self.last_frame_id = ""
        # The other images are made only for subscribers, in the same threads.
        self._compressed_lane = self._lane(self._compressed, self._send_compressed)
        self._overlay_lane = self._lane(self._overlay, self._send_overlay)
        self._diagnostics_lane = self._lane(self._diagnostics, self._send_diagnostics)
        self.thermal = RegisteredThermal(node, offered, self._lane)
        """The thermal image on the visible grid."""
        self.lanes: list[PublishingLane] = [
            *self.thermal.lanes.values(),
            *([self.spots.lane] if self.spots.lane else []),
            self._compressed_lane,
            self._overlay_lane,
            self._diagnostics_lane,
        ]
        if self._status is not None:
            self._status_lane = self._lane(self._status, self._send_status)
            self.lanes.append(self._status_lane)

    def _lane(self, publisher: Publisher, send: Callable[..., object]) -> PublishingLane:
        lane: PublishingLane = PublishingLane(
            publisher.topic_name,
            send,
            warning_line(self._node),
            can_publish=self._node.context.ok,
        )
        lane.start()
        return lane

    @property
    def image_topic(self) -> str:
        """Topic of the fused image, as remapped."""
        return str(self._image.topic_name)

    def draws_spots(self, options: OverlayOptions) -> bool:
        """Return whether spots are drawn on a subscribed overlay."""
        return options.spots and self._overlay.get_subscription_count() > 0

    def listeners(self) -> int:
        """Return the number of subscribers of the images."""
        images = (self._image, self._compressed, self._overlay)
        fused = sum(image.get_subscription_count() for image in images)
        return fused + self.thermal.listeners() + self.spots.listeners()

    def publish_image(
        self,
        output: Output,
        *,
        encoding: str,
        jpeg_quality_percent: int,
        visible_info: CameraInfo | None,
    ) -> dict[str, float]:
        """Publish the image and the intrinsics of its pixel grid; to be called by one thread.

        Args:
            output: the image.
            encoding: "rgb8", "bgr8" or "mono8".
            jpeg_quality_percent: of the compressed image.
            visible_info: the visible camera's newest camera_info, as the fused image has its grid.

        Returns:
            Milliseconds by stage: "encode" and "publish".
        """
        begun_ns = time.perf_counter_ns()
        header = header_of(output.stamp_ns, output.frame_id)
        image = serialized_image(output.pixels, output.order, encoding, header)
        encoded_ns = time.perf_counter_ns()
        publish_serialized(self._image, image)
        info = info_of_grid(visible_info, output.pixels.shape, header)
        if info is not None:
            publish_message(self._info, info)
        published_ns = time.perf_counter_ns()
        if self._compressed.get_subscription_count():
            self._compressed_lane.submit((output, header, jpeg_quality_percent))
        self.last_frame_id = output.frame_id
        return {
            "encode": (encoded_ns - begun_ns) / 1e6,
            "publish": (published_ns - encoded_ns) / 1e6,
        }

    def publish_overlay(
        self,
        job: FramePair,
        output: Output,
        pipeline: FusionPipeline,
        options: OverlayOptions,
        marks: Sequence[Mark] = (),
    ) -> None:
        """Publish the overlay of a fused pair while it is subscribed to; in the worker's thread."""
        if not self._overlay.get_subscription_count() or output.thermal is None:
            return
        celsius = None
        if pipeline.tone.options.celsius_unit() is not None:
            thermal = job.thermal.pixels
            celsius = pipeline.registered_thermal(
                thermal.pixels, output.thermal.shape, thermal_order=thermal.order, celsius=True
            )
        self._overlay_lane.submit((output, options, celsius, pipeline.registration.weights, marks))

    def publish_status(self, report: NodeReport) -> None:
        """Publish `fused/status`, if its message was built."""
        if self._status is not None:
            self._status_lane.submit(report)

    def publish_diagnostics(self, report: NodeReport) -> None:
        """Publish `/diagnostics`."""
        self._diagnostics_lane.submit(report)

    # --- each in a thread of its own --------------------------------------------------------------

    def _send_compressed(self, item: tuple[Output, Header, int]) -> None:
        output, header, quality_percent = item
        message = encode_compressed(
            output.pixels, output.order, header, quality_percent=quality_percent
        )
        publish_message(self._compressed, message)

    def _send_overlay(
        self,
        item: tuple[Output, OverlayOptions, np.ndarray | None, np.ndarray | None, Sequence[Mark]],
    ) -> None:
        output, options, celsius, weights, marks = item
        assert output.visible is not None
        assert output.thermal is not None
        order = ChannelOrder.RGB if output.order is ChannelOrder.GREY else output.order
        pixels = overlay(
            output.visible,
            output.thermal,
            options,
            order=order,
            celsius=celsius,
            weights=weights,
            marks=marks,
        )
        header = header_of(output.stamp_ns, output.frame_id)
        publish_serialized(self._overlay, serialized_image(pixels, order, "rgb8", header))

    def _send_status(self, report: NodeReport) -> None:
        assert self._status is not None
        publish_message(self._status, fill_status(FusionStatus(), report))

    def _send_diagnostics(self, report: NodeReport) -> None:
        publish_message(
            self._diagnostics, diagnostics(self._node.get_fully_qualified_name(), report)
        )

    def close(self) -> None:
        """Destroy the publishers; leave them all behind where a publish call has not returned."""
        stopped = [lane.stop() for lane in self.lanes]
        if not all(stopped):
            return
        fused = (self._image, self._compressed, self._overlay, self._info)
        thermal = (*self.thermal.publishers.values(), self.spots.publisher)
        for publisher in (*fused, *thermal, self._diagnostics, self._status):
            if publisher is None:
                continue
            if isinstance(publisher, LifecyclePublisher):
                # `destroy_publisher` does not remove it from the node's managed entities.
                self._node.destroy_lifecycle_publisher(publisher)
            else:
                self._node.destroy_publisher(publisher)
