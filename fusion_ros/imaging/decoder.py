# SPDX-License-Identifier: Apache-2.0
"""The one decoder of picture files and compressed messages: bytes to pixels as they are stored.

OpenCV's two readers differ: `imread` fills the missing part of a cut JPEG with grey, `imdecode`
refuses a complete JPEG without end marker. Here a complete picture is read and a cut one is not.
"""

from __future__ import annotations

import re

import cv2
import numpy as np

_JPEG = b"\xff\xd8"
_JPEG_END = b"\xff\xd9"
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""Any marker but stuffing, fill bytes and the restart markers inside of a scan."""
_PROGRESSIVE = re.compile(rb"\xff\xc2\x00[\x0b\x11\x14]\x08")
"""The start of a progressive frame of 1, 3 or 4 components."""
_FILLINGS = (b"\x55", b"\xaa", b"\x00")


def decode_stored(buffer: np.ndarray) -> np.ndarray | None:
    """Decode a JPEG, PNG, TIFF, BMP or PNM.

    A camera's orientation tag is ignored, a palette is resolved, alpha is dropped and bytes behind
    the picture are ignored. 16-bit colour is reduced to 8 bits, but for grey stored in three equal
    channels, which becomes 16-bit grey.

    Args:
        buffer: uint8, the whole file.

    Returns:
        uint8 HxWx3 (BGR), or HxW in the stored type (float64 as float32); None where the picture
        is cut, damaged, or none at all.
    """
    is_endless = bytes(buffer[:2]) == _JPEG and not _has_end_marker(buffer)
    pixels = _decode_endless_jpeg(buffer) if is_endless else _decode(buffer)
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


def _decode(buffer: np.ndarray) -> np.ndarray | None:
    try:
        return cv2.imdecode(buffer, cv2.IMREAD_UNCHANGED)
    except (cv2.error, MemoryError):  # an empty buffer, or a header that OpenCV refuses
        return None


def _has_end_marker(buffer: np.ndarray) -> bool:
    """Whether an end marker follows the JPEG's last scan; a thumbnail's own does not count."""
    if bytes(buffer[-2:]) == _JPEG_END:
        return True
    data, at = buffer.tobytes(), len(_JPEG)
    while (found := _JPEG_MARKER.search(data, at)) is not None:
        marker, at = data[found.start() + 1], found.end()
        if marker == _JPEG_END[1]:
            return True
        if marker != 0x01:  # every other marker that the search stops at has a length
            at += int.from_bytes(data[at : at + 2], "big")
    return False


def _decode_endless_jpeg(buffer: np.ndarray) -> np.ndarray | None:
    """Decode a JPEG without end marker, as some cameras write it; None where pixels are missing.

    libjpeg reads up to eight bytes ahead and gives up where they are missing. Appended bytes have
    no effect on a complete picture, and end in the pixels of a cut one, where fillings differ.
    (A progressive JPEG that is cut between two scans is complete, and coarser.)
    """
    data = buffer.tobytes().rstrip(b"\xff")  # the first half of a cut end marker
    # A progressive JPEG is decoded at its end marker only.
    end = _JPEG_END if _PROGRESSIVE.search(data) else b""
    found = None
    for filling in _FILLINGS:
        before, found = found, _decode(np.frombuffer(data + filling * 8 + end, np.uint8))
        if found is None or (before is not None and not np.array_equal(found, before)):
            return None
    return found
