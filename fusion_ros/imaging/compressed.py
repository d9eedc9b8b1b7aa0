# SPDX-License-Identifier: Apache-2.0
"""Compressed images: messages of image_transport's compressed plugin (JPEG, PNG) and image files.

The size is read from the header before anything is decoded, so that a few bytes cannot claim all
memory. OpenCV's two readers differ: `imread` fills the missing part of a cut JPEG with grey,
`imdecode` refuses a complete JPEG without end marker. Here a complete image is read and a cut one
is refused.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fusion_ros.files.limits import (
    MAX_IMAGE_BYTES,
    MAX_MESSAGE_BYTES,
    MAX_PIXELS,
)
from fusion_ros.files.reading import TooLargeFileError, UnreadableFileError, read_bytes
from fusion_ros.imaging.encodings import ChannelOrder, EncodingError, PixelFrame, RejectReason
from fusion_ros.imaging.heif import is_heif, read_heif
from fusion_ros.imaging.image_header import ImageSize, image_size, radiometric_maker

_MESSAGE_KINDS = ("JPEG", "PNG")
_JPEG = b"\xff\xd8"
_JPEG_END = b"\xff\xd9"
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""Any marker except stuffing, fill bytes and the restart markers inside a scan."""
_PROGRESSIVE = re.compile(rb"\xff\xc2\x00[\x0b\x11\x14]\x08")
"""The start of a progressive frame of 1, 3 or 4 components."""
_LONGEST_JPEG_SIDE = 65500
_FILLINGS = (b"\x55", b"\xaa", b"\x00")


def decode_compressed(data: Any, *, format: str = "") -> PixelFrame:
    """Decode a JPEG or PNG message (8 or 16 bits) to uint8 HxWx3 (BGR), or HxW in uint8 or uint16.

    `data` has the buffer protocol. The message's `format` is used in error messages only.

    Raises:
        EncodingError: another kind of data, a damaged image, or one that is too large.
    """
    buffer = memoryview(data).cast("B")
    size = image_size(buffer)
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
            f"the {buffer.nbytes} bytes of format {format[:60]!r} cannot be decoded; the message "
            "was cut or damaged",
        )
    order = ChannelOrder.GREY if pixels.ndim == 2 else ChannelOrder.BGR
    return PixelFrame(pixels, order, rendering_of=radiometric_maker(buffer))


def read_image_bytes(path: Path) -> bytes:
    """Return the bytes of an image file.

    Raises:
        EncodingError: the file cannot be read, or is too large.
    """
    try:
        return read_bytes(path, MAX_MESSAGE_BYTES)
    except TooLargeFileError as error:
        raise EncodingError(RejectReason.TOO_LARGE, str(error)) from error
    except UnreadableFileError as error:
        raise EncodingError(RejectReason.MALFORMED, str(error)) from error


def read_image_file(path: Path) -> np.ndarray:
    """Read a JPEG, PNG, TIFF, BMP, WebP, HEIF or Netpbm file as it is stored, in BGR order.

    A camera's orientation tag is ignored: the other image of a pair may have none. HEIF files are
    read upright.

    Raises:
        EncodingError: an unreadable file, another kind of file, a damaged image, or one that is too
            large.
    """
    buffer = memoryview(read_image_bytes(path))
    where = f"{path.name}: "
    if is_heif(buffer):
        return read_heif(
            buffer, path.name, lambda w, h: _check_size(ImageSize(w, h, 3, "HEIF"), where)
        )
    size = image_size(buffer)
    if size is not None:
        _check_size(size, where)
    pixels = None if size is None else decode_stored(buffer)
    if pixels is None:
        raise EncodingError(
            RejectReason.TRUNCATED,
            f"{path.name} cannot be decoded: it is damaged, or no JPEG, PNG, TIFF, BMP, WebP, "
            "HEIC, PGM or PPM",
        )
    return pixels


def _check_size(size: ImageSize, where: str = "") -> None:
    """Compare the size in a header with the limits."""
    shown = f"{where}the image header says {size.width} x {size.height}"
    if size.width * size.height == 0:
        raise EncodingError(RejectReason.ZERO_SIZE, f"{shown} pixels")
    if size.width * size.height > MAX_PIXELS:
        raise EncodingError(
            RejectReason.TOO_LARGE, f"{shown}, more than {MAX_PIXELS} pixels; use a smaller image"
        )
    if size.width * size.height * size.pixel_bytes > MAX_IMAGE_BYTES:
        raise EncodingError(
            RejectReason.TOO_LARGE,
            f"{shown} with {size.pixel_bytes} bytes a pixel, more than {MAX_IMAGE_BYTES} bytes; "
            "use a smaller image",
        )


def decode_stored(data: bytes | memoryview) -> np.ndarray | None:
    """Decode a JPEG, PNG, TIFF, BMP, WebP or Netpbm file.

    A camera's orientation tag is ignored, a palette is resolved, alpha is dropped and bytes behind
    the image are ignored. 16-bit colour is reduced to 8 bits, except for grey stored in three
    equal channels, which becomes 16-bit grey.

    Returns:
        uint8 HxWx3 (BGR), or HxW in the stored type (float64 as float32); None if the data are
        cut, damaged or no image.
    """
    is_endless = data[:2] == _JPEG and not _has_end_marker(data)
    pixels = _decode_endless_jpeg(data) if is_endless else _decode(data)
    if pixels is None:
        return None
    if pixels.dtype == np.float64:
        pixels = pixels.astype(np.float32)
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        pixels = np.ascontiguousarray(pixels[..., :3])
    if pixels.ndim == 3 and pixels.dtype == np.uint16:
        if (pixels == pixels[..., :1]).all():
            return np.ascontiguousarray(pixels[..., 0])
        return cv2.convertScaleAbs(pixels, alpha=1 / 257)
    return pixels


def _decode(data: bytes | memoryview) -> np.ndarray | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except (cv2.error, MemoryError):  # an empty buffer, or a header that OpenCV refuses
        return None


def _has_end_marker(data: bytes | memoryview) -> bool:
    """Return whether an end marker follows the JPEG's last scan, thumbnails excluded."""
    if data[-2:] == _JPEG_END:
        return True
    at = len(_JPEG)
    while (found := _JPEG_MARKER.search(data, at)) is not None:
        marker, at = data[found.start() + 1], found.end()
        if marker == _JPEG_END[1]:
            return True
        if marker != 0x01:  # every other marker that matches has a length
            at += int.from_bytes(data[at : at + 2], "big")
    return False


def _decode_endless_jpeg(data: bytes | memoryview) -> np.ndarray | None:
    """Decode a JPEG without end marker, as some cameras write it; None if pixels are missing.

    libjpeg reads up to eight bytes ahead and fails if they are missing. Appended bytes have no
    effect on a complete image. In a cut image they become pixels, so different fillings give
    different results. (A progressive JPEG that is cut between two scans is complete and coarser.)
    """
    stripped = bytes(data).rstrip(b"\xff")  # the first half of a cut end marker
    # A progressive JPEG is decoded at its end marker only.
    end = _JPEG_END if _PROGRESSIVE.search(stripped) else b""
    found = None
    for filling in _FILLINGS:
        before, found = found, _decode(stripped + filling * 8 + end)
        if found is None or (before is not None and not np.array_equal(found, before)):
            return None
    return found


def encode_jpeg(pixels: np.ndarray, order: ChannelOrder, *, quality_percent: int) -> np.ndarray:
    """Return a JPEG file of uint8 HxW or HxWx3 pixels, as a flat uint8 array."""
    if max(pixels.shape[:2]) > _LONGEST_JPEG_SIDE:  # OpenCV would write to standard error
        raise EncodingError(
            RejectReason.TOO_LARGE,
            f"a JPEG has at most {_LONGEST_JPEG_SIDE} pixels a side, the image {pixels.shape[:2]}",
        )
    if order is ChannelOrder.RGB:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality_percent])
    if not done:
        raise EncodingError(
            RejectReason.BAD_SIZE, f"no JPEG can be made of {pixels.dtype} {pixels.shape}"
        )
    return data.reshape(-1)
