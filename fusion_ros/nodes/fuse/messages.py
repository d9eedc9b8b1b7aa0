# SPDX-License-Identifier: Apache-2.0
"""Messages of the fuse node's image topics."""

from __future__ import annotations

from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from rclpy.publisher import Publisher
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from fusion_ros.imaging.encodings import ChannelOrder, encode
from fusion_ros.nodes.runtime.rclpy_compatibility import publish_serialized
from fusion_ros.nodes.runtime.wire import write_image
from fusion_ros.streams.stamps import NS_PER_S


def header_of(stamp_ns: int, frame_id: str) -> Header:
    """Return a header with a stamp in nanoseconds."""
    sec, nanosec = divmod(stamp_ns, NS_PER_S)
    return Header(stamp=Time(sec=sec, nanosec=nanosec), frame_id=frame_id)


def publish_message(publisher: Publisher, message: Any) -> None:
    """Publish a message; other threads run meanwhile."""
    publish_serialized(publisher, serialize_message(message))


def serialized_image(
    pixels: np.ndarray, order: ChannelOrder, encoding: str, header: Header
) -> bytearray:
    """Return a `sensor_msgs/Image` as CDR bytes."""
    colour = ChannelOrder.RGB if order is ChannelOrder.GREY else order
    rows, _ = encode(pixels, encoding, order=colour)
    stamp = header.stamp.sec, header.stamp.nanosec
    return write_image(stamp, header.frame_id, pixels.shape[:2], encoding, rows)


def info_of_grid(
    info: CameraInfo | None, shape: tuple[int, ...], header: Header
) -> CameraInfo | None:
    """Return the visible camera's camera_info for an image on its grid, None where none fits.

    It has the image's header, since consumers match exact stamps.
    """
    if info is None or (info.height, info.width) != shape[:2]:
        return None
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
