# SPDX-License-Identifier: Apache-2.0
"""What the fuse node publishes, from `configure` to `cleanup`."""

from __future__ import annotations

import time

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.lifecycle import LifecycleNode, LifecyclePublisher
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from fusion_ros.imaging.encodings import ChannelOrder
from fusion_ros.imaging.palettes import OverlayOptions, overlay
from fusion_ros.nodes.codec import encode_compressed, encode_image
from fusion_ros.nodes.diagnostics import diagnostics
from fusion_ros.nodes.jobs import Output
from fusion_ros.nodes.report import NodeReport, fill_status
from fusion_ros.nodes.stamps import to_time
from fusion_ros.nodes.subscription import named_quality
from fusion_ros.nodes.topic_names import COMPRESSED, camera_info_topic

try:
    from fusion_ros.msg import FusionStatus
except ImportError:  # a plain pip install has no generated messages
    FusionStatus = None


class FusedOutputs:
    """The fused image (raw and compressed), its camera_info, status and diagnostics.

    Image and camera_info are lifecycle publishers: silent unless the node is active. Status and
    diagnostics speak as long as the node is configured.

    Args:
        node: who publishes.
        reliability: "reliable" or "best_effort", for image and camera_info.
    """

    def __init__(self, node: LifecycleNode, *, reliability: str) -> None:
        self._node = node
        offered = named_quality(reliability)
        self._image = node.create_lifecycle_publisher(Image, "fused/image_raw", offered)
        # As image_transport has it: whoever remaps the image takes these two along.
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

    @property
    def image_topic(self) -> str:
        """Topic of the fused image, as remapped."""
        return str(self._image.topic_name)

    def listeners(self) -> int:
        """How many subscribers the fused pictures have."""
        pictures = (self._image, self._compressed, self._overlay)
        return sum(picture.get_subscription_count() for picture in pictures)

    def publish_image(
        self,
        output: Output,
        *,
        encoding: str,
        jpeg_quality_percent: int,
        overlay_options: OverlayOptions,
        visible_info: CameraInfo | None,
    ) -> dict[str, float]:
        """The picture, and beside it the intrinsics of its pixel grid.

        Args:
            output: what to publish.
            encoding: "rgb8", "bgr8" or "mono8".
            jpeg_quality_percent: of the compressed picture, made only while somebody listens.
            overlay_options: of the picture for people, made only while somebody listens.
            visible_info: the visible camera's newest; the fused image lies on its grid, so its
                intrinsics hold. It goes out with the image's own header, since consumers match the
                two by exact stamp.

        Returns:
            Milliseconds by stage: "encode" and "publish".
        """
        begun_ns = time.perf_counter_ns()
        header = Header(stamp=to_time(output.stamp_ns), frame_id=output.frame_id)
        image = encode_image(output.pixels, output.order, encoding, header)
        encoded_ns = time.perf_counter_ns()
        self._image.publish(image)
        if visible_info is not None and _same_size(visible_info, image):
            self._info.publish(_with_header(visible_info, header))
        published_ns = time.perf_counter_ns()
        if self._compressed.get_subscription_count():
            self._compressed.publish(
                encode_compressed(
                    output.pixels,
                    output.order,
                    header,
                    quality_percent=jpeg_quality_percent,
                )
            )
        if self._overlay.get_subscription_count():
            self._publish_overlay(output, header, overlay_options)
        self.last_frame_id = output.frame_id
        return {
            "encode": (encoded_ns - begun_ns) / 1e6,
            "publish": (published_ns - encoded_ns) / 1e6,
        }

    def _publish_overlay(self, output: Output, header: Header, options: OverlayOptions) -> None:
        if output.visible is None or output.thermal is None:
            return
        order = ChannelOrder.RGB if output.order is ChannelOrder.GREY else output.order
        pixels = overlay(output.visible, output.thermal, options, order=order)
        self._overlay.publish(encode_image(pixels, order, "rgb8", header))

    def publish_status(self, report: NodeReport) -> None:
        """`fused/status`, where its message was built."""
        if self._status is not None:
            self._status.publish(fill_status(FusionStatus(), report))

    def publish_diagnostics(self, report: NodeReport) -> None:
        """`/diagnostics`."""
        self._diagnostics.publish(diagnostics(self._node.get_fully_qualified_name(), report))

    def close(self) -> None:
        """Take the topics down."""
        for publisher in (
            self._image,
            self._compressed,
            self._overlay,
            self._info,
            self._diagnostics,
            self._status,
        ):
            if publisher is None:
                continue
            if isinstance(publisher, LifecyclePublisher):
                # `destroy_publisher` alone would leave it among the node's managed entities.
                self._node.destroy_lifecycle_publisher(publisher)
                continue
            self._node.destroy_publisher(publisher)


def _same_size(info: CameraInfo, image: Image) -> bool:
    return (info.width, info.height) == (image.width, image.height)


def _with_header(info: CameraInfo, header: Header) -> CameraInfo:
    return CameraInfo(
        header=header,
        height=info.height,
        width=info.width,
        distortion_model=info.distortion_model,
        d=info.d,
        k=info.k,
        r=info.r,
        p=info.p,
        binning_x=info.binning_x,
        binning_y=info.binning_y,
        roi=info.roi,
    )
