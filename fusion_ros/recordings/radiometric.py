# SPDX-License-Identifier: Apache-2.0
"""Counts and the visible image inside radiometric JPEG files of FLIR and DJI.

FLIR: segments that together hold a file of records ("FFF"); layout after ExifTool's FLIR tags. The
library flyr reads them too, but is licensed under the EUPL and takes seconds per image. DJI: plain
16-bit counts in the segments APP3 (Zenmuse XT S: APP4). Counts are not converted to degrees: fusion
needs no unit.
"""

from __future__ import annotations

import math
import struct

import numpy as np

from fusion_ros.files.limits import MAX_PIXELS
from fusion_ros.imaging.compressed import decode_stored
from fusion_ros.imaging.image_header import ImageSize, image_size, jpeg_segments

_APP1, _APP3, _APP4 = 0xE1, 0xE3, 0xE4
_FLIR_HEAD = 8
_RAW, _EMBEDDED = 1, 14
_RECORD_HEAD = 32
_BIG_ENDIAN, _PNG = 1, 3
_LEAST_WIDTH = 16
"""Narrower counts of DJI, whose files do not state the size, are a rest of a frame."""


def counts_of(data: bytes | memoryview, maker: str) -> np.ndarray | None:
    """Return the measured counts (`uint16` HxW) of a radiometric JPEG; None if it holds none."""
    try:
        if maker == "FLIR":
            return _flir_counts(_flir_record(data, _RAW))
        return _dji_counts(data) if maker == "DJI" else None
    except (struct.error, ValueError, IndexError):  # damaged
        return None


def embedded_visible(data: bytes | memoryview) -> bytes | None:
    """Return the visible image file (JPEG or PNG) inside a radiometric JPEG of FLIR, or None."""
    try:
        image = _flir_record(data, _EMBEDDED)[1][_RECORD_HEAD:]
    except (struct.error, ValueError, IndexError):
        return None
    return image if image_size(image) is not None else None


def _flir_record(data: bytes | memoryview, wanted: int) -> tuple[int, bytes]:
    """Return sub-type and content of the first record of a type.

    Raises:
        ValueError: there is none, or a segment is missing.
    """
    parts = {}
    count = 0
    for marker, segment in jpeg_segments(memoryview(data)):
        if marker == _APP1 and bytes(segment[:5]) == b"FLIR\0":
            count = segment[7] + 1
            parts[segment[6]] = bytes(segment[_FLIR_HEAD:])
    records = b"".join(parts[number] for number in range(count) if number in parts)
    if len(parts) != count or records[:4] not in (b"FFF\0", b"AFF\0"):
        raise ValueError("no complete FLIR segments")
    order = ">" if struct.unpack_from(">I", records, 20)[0] < 2**16 else "<"
    directory, entries = struct.unpack_from(f"{order}II", records, 24)
    for entry in range(directory, directory + 32 * min(entries, 256), 32):
        kind, subtype, at, length = struct.unpack_from(f"{order}HH8xII", records, entry)
        if kind == wanted and at + length <= len(records):
            return subtype, records[at : at + length]
    raise ValueError("no such record")


def _flir_counts(record: tuple[int, bytes]) -> np.ndarray | None:
    subtype, content = record
    # Each record states its own byte order: it starts with the number 2.
    is_little = content[:2] == b"\x02\x00"
    width, height = struct.unpack_from("<HH" if is_little else ">HH", content, 2)
    if width * height == 0:
        return None
    image = content[_RECORD_HEAD:]
    if subtype == _PNG or image[:4] == b"\x89PNG":
        size = image_size(image)
        if size is None or (size.width, size.height) != (width, height):
            return None
        pixels = decode_stored(image) if width * height <= MAX_PIXELS else None
        if pixels is None or pixels.dtype != np.uint16 or pixels.ndim != 2:
            return None
        # Little-endian cameras write the low byte first, against the PNG format.
        return pixels.byteswap() if is_little else pixels
    order = ">u2" if subtype == _BIG_ENDIAN else "<u2"
    counts = np.frombuffer(image, order, width * height).reshape(height, width)
    return counts.astype(np.uint16)


def _dji_counts(data: bytes | memoryview) -> np.ndarray | None:
    size = image_size(data)
    if size is None:
        return None
    for marker in (_APP3, _APP4):
        parts = [
            bytes(part) for number, part in jpeg_segments(memoryview(data)) if number == marker
        ]
        counts = _of_shape(size, np.frombuffer(b"".join(parts), "<u2"))
        if counts is not None:
            return counts
    return None


def _of_shape(size: ImageSize, counts: np.ndarray) -> np.ndarray | None:
    """Return the counts as an image of the rendering's shape, which may be larger than the sensor.

    None if their number does not fit.
    """
    if not counts.size:
        return None
    width = round(math.sqrt(counts.size * size.width / size.height))
    height = counts.size // max(1, width)
    if (
        width < _LEAST_WIDTH
        or width * height != counts.size
        or abs(width * size.height - height * size.width) > size.width
    ):
        return None
    return counts.reshape(height, width).astype(np.uint16)
