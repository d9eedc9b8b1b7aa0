# SPDX-License-Identifier: Apache-2.0
"""Size of a picture, read from the header of its file without decoding it."""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
# Start-of-frame markers carry the size; C4, C8 and CC in the same range are tables.
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
_TIFF = {b"II*\0": "<", b"MM\0*": ">"}
_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_BITS, _TIFF_CHANNELS = 256, 257, 258, 277
_TIFF_SHORT, _TIFF_LONG = 3, 4
_NETPBM = re.compile(rb"P[1-6](?:\s|#[^\n]*\n)+(\d+)(?:\s|#[^\n]*\n)+(\d+)")


class PictureSize(NamedTuple):
    """What a header claims. `pixel_bytes` is what a decoded pixel takes."""

    width: int
    height: int
    pixel_bytes: int
    kind: str


def picture_size(data: bytes | memoryview) -> PictureSize | None:
    """Return the size of a JPEG, PNG, TIFF, BMP or Netpbm file, None for anything else."""
    view = memoryview(data)
    start = bytes(view[:8])
    try:
        if start == _PNG:
            return _png(view)
        if start[:2] == _JPEG:
            return _jpeg(view)
        if start[:4] in _TIFF:
            return _tiff(view, _TIFF[start[:4]])
        if start[:2] == b"BM":
            return _bmp(view)
        if start[:1] == b"P":
            return _netpbm(bytes(view[:4096]))
    except struct.error:  # the header itself is cut
        return None
    return None


def _png(data: memoryview) -> PictureSize:
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    return PictureSize(width, height, _PNG_CHANNELS.get(colour, 4) * max(1, depth // 8), "PNG")


def _jpeg(data: memoryview) -> PictureSize | None:
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # fill bytes may stand before a marker
            at += 1
        elif marker in _START_OF_FRAME:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return PictureSize(width, height, 3, "JPEG")
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:  # markers without a length
            at += 2
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def _tiff(data: memoryview, order: str) -> PictureSize | None:
    (at,) = struct.unpack_from(f"{order}I", data, 4)
    (entries,) = struct.unpack_from(f"{order}H", data, at)
    found = {_TIFF_CHANNELS: 1, _TIFF_BITS: 1}
    for entry in range(at + 2, at + 2 + 12 * entries, 12):
        tag, kind, count = struct.unpack_from(f"{order}HHI", data, entry)
        if tag not in (_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_BITS, _TIFF_CHANNELS):
            continue
        code = {_TIFF_SHORT: "H", _TIFF_LONG: "I"}.get(kind)
        if code is None:
            return None
        place = entry + 8
        if count * struct.calcsize(code) > 4:  # values that do not fit stand elsewhere
            (place,) = struct.unpack_from(f"{order}I", data, place)
        (found[tag],) = struct.unpack_from(f"{order}{code}", data, place)
    if _TIFF_WIDTH not in found or _TIFF_HEIGHT not in found:
        return None
    pixel_bytes = max(1, found[_TIFF_CHANNELS]) * max(1, found[_TIFF_BITS] // 8)
    return PictureSize(found[_TIFF_WIDTH], found[_TIFF_HEIGHT], pixel_bytes, "TIFF")


def _bmp(data: memoryview) -> PictureSize:
    (header,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if header == 12 else "<ii", data, 18)
    # A negative height: rows from top to bottom.
    return PictureSize(abs(width), abs(height), 4, "BMP")


def _netpbm(start: bytes) -> PictureSize | None:
    match = _NETPBM.match(start)
    if match is None or max(map(len, match.groups())) > 9:
        return None
    colour, deep = start[1:2] in b"36", 2
    return PictureSize(int(match[1]), int(match[2]), (3 if colour else 1) * deep, "Netpbm")
