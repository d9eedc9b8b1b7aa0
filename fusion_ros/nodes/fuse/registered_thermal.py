# SPDX-License-Identifier: Apache-2.0
"""`thermal_registered/*`: the thermal image on the visible grid, like `depth_registered`.

Each image has the stamp and the frame id of a fused image. It is computed while subscribed, after
that image was passed on for publishing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from fusion_ros.imaging.encodings import ChannelOrder
from fusion_ros.nodes.fuse.messages import (
    header_of,
    info_of_grid,
    publish_message,
    serialized_image,
)
from fusion_ros.nodes.fuse.publishing_lane import PublishingLane
from fusion_ros.nodes.runtime.log_lines import warning_line
from fusion_ros.nodes.runtime.rclpy_compatibility import publish_serialized
from fusion_ros.nodes.runtime.topic_names import camera_info_topic
from fusion_ros.pipeline import FusionPipeline
from fusion_ros.streams.intake import CheckedFrame
from fusion_ros.streams.ledger import Stream
from fusion_ros.streams.pair_flow import FramePair, LoneFrame

COUNTS, CELSIUS, INFO = (
    "thermal_registered/image_raw",
    "thermal_registered/temperature",
    "thermal_registered/camera_info",
)


class RegisteredThermal:
    """Publishers of the registered thermal image, from `configure` to `cleanup`.

    `make_lane` returns a publishing thread for a publisher and a function.
    """

    def __init__(
        self,
        node: LifecycleNode,
        offered: QoSProfile,
        make_lane: Callable[..., PublishingLane],
    ) -> None:
        self._warn = warning_line(node)
        self._has_warned = False
        self.publishers = {
            COUNTS: node.create_lifecycle_publisher(Image, COUNTS, offered),
            CELSIUS: node.create_lifecycle_publisher(Image, CELSIUS, offered),
            INFO: node.create_lifecycle_publisher(
                CameraInfo, camera_info_topic(node, "thermal_registered"), offered
            ),
        }
        send = {
            COUNTS: partial(self._send_image, COUNTS),
            CELSIUS: partial(self._send_image, CELSIUS),
            INFO: partial(publish_message, self.publishers[INFO]),
        }
        self.lanes = {name: make_lane(p, send[name]) for name, p in self.publishers.items()}
        """A publishing thread for each topic."""

    def listeners(self) -> int:
        """Return the number of subscribers."""
        return sum(p.get_subscription_count() for p in self.publishers.values())

    def take(
        self,
        job: FramePair | LoneFrame,
        pipeline: FusionPipeline,
        *,
        interpolation: str,
        visible_info: CameraInfo | None,
    ) -> None:
        """Compute the subscribed images of a job; in the worker's thread.

        Raises:
            ValueError: the frames do not fit the calibration.
        """
        wanted = {name for name, p in self.publishers.items() if p.get_subscription_count()}
        if not wanted or (found := thermal_of(job)) is None:
            return
        thermal, shape, header = found
        pixels, order = thermal.pixels.pixels, thermal.pixels.order
        if COUNTS in wanted:
            counts = pipeline.registered_thermal(
                pixels, shape, thermal_order=order, interpolation=interpolation
            )
            self.lanes[COUNTS].submit((counts, counts_encoding(thermal.encoding, counts), header))
        info = info_of_grid(visible_info, shape, header)
        if info is not None:
            self.lanes[INFO].submit(info)
        if CELSIUS in wanted and pipeline.tone.options.celsius_unit() is None:
            self._warn_of_unit()
        elif CELSIUS in wanted:
            celsius = pipeline.registered_thermal(
                pixels, shape, thermal_order=order, celsius=True, interpolation=interpolation
            )
            self.lanes[CELSIUS].submit((celsius, "32FC1", header))

    def _warn_of_unit(self) -> None:
        if not self._has_warned:
            self._has_warned = True
            self._warn(
                f"{CELSIUS} has a subscriber, but is not published: parameter tone_unit is "
                "'counts'; set it to the unit of the thermal camera"
            )

    def _send_image(self, name: str, item: tuple[np.ndarray, str, Header]) -> None:
        """Publish an image; in the thread of its topic."""
        pixels, encoding, header = item
        message = serialized_image(pixels, ChannelOrder.GREY, encoding, header)
        publish_serialized(self.publishers[name], message)


def thermal_of(
    job: FramePair | LoneFrame,
) -> tuple[CheckedFrame, tuple[int, int], Header] | None:
    """Return the thermal frame of a job, the shape of the visible grid and the output's header.

    None for a visible frame alone, and while the visible grid is not known.
    """
    if isinstance(job, LoneFrame):
        if job.stream is Stream.VISIBLE or job.visible_shape is None:
            return None
        header = header_of(job.frame.stamp_ns, job.frame_id)
        return job.frame, job.visible_shape, header
    height, width = job.visible.pixels.pixels.shape[:2]
    header = header_of(job.visible_stamp_ns, job.visible.frame_id)
    return job.thermal, (height, width), header


def counts_encoding(declared: str, counts: np.ndarray) -> str:
    """Return the encoding for counts of a camera whose messages declare `declared`."""
    if counts.dtype == np.float32:
        return "32FC1"
    if counts.dtype == np.uint8:
        return "mono8"
    return "16UC1" if declared.startswith("16UC1") else "mono16"
