# SPDX-License-Identifier: Apache-2.0
"""Compressed pictures as image_transport's compressed plugin publishes them: JPEG and PNG.

Sizes are read from the picture's own header before anything is decoded, so that a few bytes cannot
claim all memory.
"""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np

from fusion_ros.imaging.encodings import (
    MAX_PIXELS,
    ChannelOrder,
    EncodingError,
    PixelFrame,
    RejectReason,
)

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
# Start-of-frame markers carry the size; C4, C8 and CC in the same range are tables.
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def decode_compressed(data: Any, *, format: str = "") -> PixelFrame:
    """Read a JPEG or a PNG (8 or 16 bits).

    Args:
        data: the file's bytes, anything with the buffer protocol.
        format: the message's own word for it ("jpeg", "rgb8; jpeg compressed bgr8",
            "16UC1; png compressed "), for error messages; what counts is the data.

    Returns:
        Pixels of their own: uint8 HxWx3 (BGR), or HxW in uint8 or uint16.

    Raises:
        EncodingError: not such a picture, a damaged one, or one that is too large.
    """
    buffer = np.frombuffer(data, np.uint8)
    size = picture_size(memoryview(buffer))
    if size is None:
        raise EncodingError(
            RejectReason.UNKNOWN_ENCODING,
            f"format is {format[:60]!r} and the data are neither JPEG nor PNG; use the transport "
            "'compressed' (not compressedDepth, theora or ffmpeg), or raw images",
        )
    width, height = size
    if width * height == 0:
        raise EncodingError(
            RejectReason.ZERO_SIZE, f"the picture's header says {width} x {height} pixels"
        )
    if width * height > MAX_PIXELS:
        raise EncodingError(
            RejectReason.TOO_LARGE,
            f"the picture's header says {width} x {height}, more than {MAX_PIXELS} pixels; "
            "publish a smaller one",
        )
    pixels = _decode(buffer)
    if pixels is None or pixels.dtype not in (np.uint8, np.uint16):
        raise EncodingError(
            RejectReason.TRUNCATED,
            f"the {buffer.size} bytes of format {format[:60]!r} cannot be decoded; the message was "
            "cut or damaged",
        )
    if pixels.ndim == 2:
        return PixelFrame(pixels, ChannelOrder.GREY)
    if pixels.dtype != np.uint8:
        raise EncodingError(
            RejectReason.UNKNOWN_ENCODING, "the picture has 16-bit colour; allowed is 8-bit colour"
        )
    colour = pixels if pixels.shape[2] == 3 else cv2.cvtColor(pixels, cv2.COLOR_BGRA2BGR)
    return PixelFrame(colour, ChannelOrder.BGR)


def picture_size(data: memoryview) -> tuple[int, int] | None:
    """Width and height out of a JPEG's or PNG's header, or None where there is none."""
    if bytes(data[:8]) == _PNG and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return width, height
    if bytes(data[:2]) != _JPEG:
        return None
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # fill bytes may stand before a marker
            at += 1
            continue
        if marker in _START_OF_FRAME:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # markers without a length
            at += 2
            continue
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def encode_jpeg(pixels: np.ndarray, order: ChannelOrder, *, quality_percent: int) -> np.ndarray:
    """A JPEG file of uint8 HxW or HxWx3 pixels, as a flat uint8 array."""
    if order is ChannelOrder.RGB:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality_percent])
    if not done:
        raise EncodingError(
            RejectReason.BAD_SIZE, f"no JPEG can be made of {pixels.dtype} {pixels.shape}"
        )
    return data.reshape(-1)


def _decode(buffer: np.ndarray) -> np.ndarray | None:
    try:
        return cv2.imdecode(buffer, cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
