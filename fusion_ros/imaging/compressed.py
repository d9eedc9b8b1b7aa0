# SPDX-License-Identifier: Apache-2.0
"""Compressed pictures as image_transport's compressed plugin publishes them: JPEG and PNG.

Sizes are read from the picture's own header before anything is decoded, so that a few bytes cannot
claim all memory.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fusion_ros.files.limits import (
    MAX_IMAGE_BYTES,
    MAX_MESSAGE_BYTES,
    MAX_PIXELS,
)
from fusion_ros.files.reading import TooLargeFileError, read_bytes
from fusion_ros.imaging.decoder import decode_stored
from fusion_ros.imaging.encodings import ChannelOrder, EncodingError, PixelFrame, RejectReason
from fusion_ros.imaging.image_size import PictureSize, picture_size
from fusion_ros.imaging.image_tags import radiometric_maker

_MESSAGE_KINDS = ("JPEG", "PNG")


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
    if size is None or size.kind not in _MESSAGE_KINDS:
        raise EncodingError(
            RejectReason.UNKNOWN_ENCODING,
            f"format is {format[:60]!r} and the data are neither JPEG nor PNG; use the transport "
            "'compressed' (not compressedDepth, theora or ffmpeg), or raw images",
        )
    _check_size(size)
    pixels = decode_stored(buffer)
    if pixels is None or pixels.dtype not in (np.uint8, np.uint16):
        raise EncodingError(
            RejectReason.TRUNCATED,
            f"the {buffer.size} bytes of format {format[:60]!r} cannot be decoded; the message was "
            "cut or damaged",
        )
    order = ChannelOrder.GREY if pixels.ndim == 2 else ChannelOrder.BGR
    maker = radiometric_maker(memoryview(buffer)) if size.kind == "JPEG" else ""
    return PixelFrame(pixels, order, rendering_of=maker)


def read_picture_file(path: Path) -> np.ndarray:
    """Read a JPEG, PNG, TIFF, BMP or Netpbm file as it is stored, in BGR order.

    No turning by a camera's orientation tag: the other picture of a pair may have none.

    Raises:
        EncodingError: not such a picture, a damaged one, or one that is too large.
        OSError: the file cannot be read.
    """
    try:
        buffer = np.frombuffer(read_bytes(path, MAX_MESSAGE_BYTES), np.uint8)
    except TooLargeFileError as error:
        raise EncodingError(RejectReason.TOO_LARGE, str(error)) from error
    size = picture_size(memoryview(buffer))
    if size is not None:
        _check_size(size, f"{path.name}: ")
    pixels = None if size is None else decode_stored(buffer)
    if pixels is None:
        raise EncodingError(
            RejectReason.TRUNCATED,
            f"{path.name} cannot be decoded: it is damaged, or no JPEG, PNG, TIFF, BMP, PGM or PPM",
        )
    return pixels


def _check_size(size: PictureSize, where: str = "") -> None:
    """Compare what a header claims with the limits."""
    shown = f"{where}the picture's header says {size.width} x {size.height}"
    if size.width * size.height == 0:
        raise EncodingError(RejectReason.ZERO_SIZE, f"{shown} pixels")
    if size.width * size.height > MAX_PIXELS:
        raise EncodingError(
            RejectReason.TOO_LARGE, f"{shown}, more than {MAX_PIXELS} pixels; use a smaller picture"
        )
    if size.width * size.height * size.pixel_bytes > MAX_IMAGE_BYTES:
        raise EncodingError(
            RejectReason.TOO_LARGE,
            f"{shown} with {size.pixel_bytes} bytes a pixel, more than {MAX_IMAGE_BYTES} bytes; "
            "use a smaller picture",
        )


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
