# SPDX-License-Identifier: Apache-2.0
"""`sensor_msgs/Image` to pixels and back, by `fusion_ros.imaging`'s decoders."""

from __future__ import annotations

import numpy as np
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from fusion_ros.imaging.compressed import decode_compressed, encode_jpeg
from fusion_ros.imaging.encodings import (
    ChannelOrder,
    PixelFrame,
    decode_frame,
    encode,
)
from fusion_ros.nodes.runtime.wire import WireCompressedImage, WireImage

_COMPRESSED = (CompressedImage, WireCompressedImage)


def decode_image(message: Image | CompressedImage | WireImage | WireCompressedImage) -> PixelFrame:
    """The pixels of a message, as a view on its bytes wherever its encoding allows.

    Raises:
        EncodingError: the message cannot be read; `reason` is one of `RejectReason`.
    """
    if isinstance(message, _COMPRESSED):
        return decode_compressed(message.data, format=message.format)
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
