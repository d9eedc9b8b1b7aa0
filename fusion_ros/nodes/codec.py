# SPDX-License-Identifier: Apache-2.0
"""`sensor_msgs/Image` to pixels and back.

The raw encodings are ours (`fusion_ros.imaging.encodings`): a view on the message's bytes. What we
do not read is left to cv_bridge where it is installed.
"""

from __future__ import annotations

import importlib.util
from functools import cache

import numpy as np
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from fusion_ros.imaging.compressed import decode_compressed, encode_jpeg
from fusion_ros.imaging.encodings import (
    EXOTIC_ENCODINGS,
    RAW_ENCODINGS,
    ChannelOrder,
    EncodingError,
    PixelFrame,
    RejectReason,
    decode_frame,
    encode,
)
from fusion_ros.nodes.wire import WireCompressedImage, WireImage

_COMPRESSED = (CompressedImage, WireCompressedImage)


def decode_image(message: Image | CompressedImage | WireImage | WireCompressedImage) -> PixelFrame:
    """The pixels of a message, as a view on its bytes wherever its encoding allows.

    Raises:
        EncodingError: the message cannot be read; `reason` is one of `RejectReason`.
    """
    if isinstance(message, _COMPRESSED):
        return decode_compressed(message.data, format=message.format)
    ours = message.encoding in RAW_ENCODINGS or message.encoding in EXOTIC_ENCODINGS
    if not ours and message.height and message.width and has_cv_bridge():
        return _decode_with_cv_bridge(message)
    return decode_frame(
        message.data,
        encoding=message.encoding,
        height=message.height,
        width=message.width,
        step=message.step,
        is_bigendian=bool(message.is_bigendian),
    )


def encode_image(pixels: np.ndarray, order: ChannelOrder, encoding: str, header: Header) -> Image:
    """A message of these pixels.

    Args:
        pixels: see `fusion_ros.imaging.encodings.encode`.
        order: order of the channels of `pixels`; grey pixels need none.
        encoding: one of `OUTPUT_ENCODINGS`.
        header: stamp and frame id of the image.
    """
    colour = ChannelOrder.RGB if order is ChannelOrder.GREY else order
    data, step = encode(pixels, encoding, order=colour)
    message = Image()
    message.header = header
    message.height, message.width = pixels.shape[:2]
    message.encoding = encoding
    message.is_bigendian = 0
    message.step = step
    _fill(message, data)
    return message


def encode_compressed(
    pixels: np.ndarray, order: ChannelOrder, header: Header, *, quality_percent: int
) -> CompressedImage:
    """A JPEG message of uint8 pixels, named as image_transport's compressed plugin names it."""
    message = CompressedImage(header=header)
    original = "mono8" if pixels.ndim == 2 else "rgb8"
    stored = "mono8" if pixels.ndim == 2 else "bgr8"
    message.format = f"{original}; jpeg compressed {stored}"
    _fill(message, encode_jpeg(pixels, order, quality_percent=quality_percent))
    return message


def _fill(message: Image | CompressedImage, data: np.ndarray) -> None:
    # Into the array that the new message has already: assigning one copies it once more (Kilted),
    # and assigning any other type is checked byte by byte (0.1 ms against 150 ms).
    message.data.frombytes(memoryview(data))


@cache
def has_cv_bridge() -> bool:
    """Whether cv_bridge is installed, for encodings that are not ours."""
    return importlib.util.find_spec("cv_bridge") is not None


def _decode_with_cv_bridge(message: Image | WireImage) -> PixelFrame:
    try:
        from cv_bridge import CvBridge

        pixels = CvBridge().imgmsg_to_cv2(message, desired_encoding="rgb8")
    except Exception as error:
        # Anything, and not CvBridgeError alone: beside another NumPy or OpenCV than it was built
        # against it fails in ways of its own, the import and big endian among them.
        raise EncodingError(
            RejectReason.UNKNOWN_ENCODING,
            f"encoding is {message.encoding!r}, and cv_bridge cannot make rgb8 of it "
            f"({type(error).__name__}: {error}); "
            f"set the driver to one of {', '.join(RAW_ENCODINGS)}",
        ) from error
    return PixelFrame(pixels, ChannelOrder.RGB)
