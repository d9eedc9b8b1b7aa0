# SPDX-License-Identifier: Apache-2.0
"""What the fuse node publishes, from `configure` to `cleanup`."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from fusion_ros.nodes.report import NodeReport, diagnostics, fill_status
from fusion_ros.nodes.subscription import named_quality

try:
    from fusion_ros.msg import FusionStatus
except ImportError:  # a plain pip install has no generated messages
    FusionStatus = None


class FusedOutputs:
    """The fused image, its camera_info, status and diagnostics.

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
        self._info = node.create_lifecycle_publisher(CameraInfo, "fused/camera_info", offered)
        self._diagnostics = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._status = None
        if FusionStatus is not None:
            self._status = node.create_publisher(FusionStatus, "fused/status", 10)
        else:
            node.get_logger().warning(
                "fusion_ros/msg/FusionStatus was not built, so fused/status is not published "
                "(/diagnostics has the same figures); build it with colcon, or with `make setup`"
            )
        self.last_header = Header()

    @property
    def image_topic(self) -> str:
        """Topic of the fused image, as remapped."""
        return str(self._image.topic_name)

    def publish_image(self, image: Image, visible_info: CameraInfo | None) -> None:
        """The fused image, and beside it the intrinsics of its pixel grid.

        Args:
            image: stamp and frame id are the visible frame's.
            visible_info: the visible camera's newest; the fused image lies on its grid, so its
                intrinsics hold. It goes out with the image's own header, since consumers match the
                two by exact stamp.
        """
        self._image.publish(image)
        self.last_header = image.header
        if visible_info is not None:
            self._info.publish(_with_header(visible_info, image.header))

    def publish_status(self, report: NodeReport) -> None:
        """`fused/status`, where its message was built."""
        if self._status is not None:
            self._status.publish(fill_status(FusionStatus(), report))

    def publish_diagnostics(self, report: NodeReport) -> None:
        """`/diagnostics`."""
        self._diagnostics.publish(diagnostics(self._node.get_name(), report))

    def close(self) -> None:
        """Take the topics down."""
        for publisher in (self._image, self._info, self._diagnostics, self._status):
            if publisher is not None:
                self._node.destroy_publisher(publisher)


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
