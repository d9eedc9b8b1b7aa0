# SPDX-License-Identifier: Apache-2.0
"""Conversion between `sensor_msgs/Image` and pixels, by the decoders of `fusion_ros.imaging`."""

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
    """Return the pixels of a message, as a view on its bytes where its encoding allows that.

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
    """Return a message with these pixels.

    Args:
        pixels: see `fusion_ros.imaging.encodings.encode`.
        order: order of the channels of `pixels`; ignored for grey pixels.
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
    """Return a JPEG message of uint8 pixels, with a format text as image_transport writes it."""
    message = CompressedImage(header=header)
    original = "mono8" if pixels.ndim == 2 else "rgb8"
    stored = "mono8" if pixels.ndim == 2 else "bgr8"
    message.format = f"{original}; jpeg compressed {stored}"
    _fill(message, encode_jpeg(pixels, order, quality_percent=quality_percent))
    return message


def _fill(message: Image | CompressedImage, data: np.ndarray) -> None:
    # Filling the message's own array avoids a copy (Kilted). Any other type than an array would
    # be checked byte by byte, 150 ms for an image of 1 MB.
    message.data.frombytes(data.data)
