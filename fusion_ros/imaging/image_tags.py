# SPDX-License-Identifier: Apache-2.0
"""Entries of a picture file beside its pixels that change what the pixels mean."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
_TIFF = {b"II*\0": "<", b"MM\0*": ">"}
_TIFF_CODES = {1: "B", 3: "H", 4: "I"}
_SUBFILE, _BITS, _PHOTOMETRIC, _ORIENTATION = 254, 258, 262, 274
_MINISWHITE = 0
_MOST_PAGES = 4096
_SRGB_GAMMA = 1 / 2.2

# How radiometric JPEGs mark the segment with the measured counts: application number, first bytes.
_RADIOMETRIC = (
    ("FLIR", 1, b"FLIR\0"),
    ("Parrot", 1, b"PARROT\0"),
    ("DJI", 4, b"\xaa\x55\x12\x06"),
    ("DJI", 6, b"DTAT\0"),
)
_INFIRAY = b"IJPEG\0"


class PictureTags(NamedTuple):
    """What a file says about its pixels.

    Attributes:
        orientation: EXIF or TIFF orientation, 1 (as stored) to 8.
        pages: full-size pictures in the file.
        gamma: exponent of a PNG's samples where it is not that of sRGB, else None.
        is_inverted: whether 0 means white in a picture of more than 8 bits.
        rendering_of: maker of the camera whose counts the file holds beside a rendering, or "".
    """

    orientation: int = 1
    pages: int = 1
    gamma: float | None = None
    is_inverted: bool = False
    rendering_of: str = ""


def picture_tags(data: bytes | memoryview) -> PictureTags:
    """Read the tags of a JPEG, PNG or TIFF; all others, and damaged ones, have none."""
    view = memoryview(data)
    start = bytes(view[:8])
    try:
        if start == _PNG:
            return _png_tags(view)
        if start[:2] == _JPEG:
            return _jpeg_tags(view)
        if start[:4] in _TIFF:
            return _tiff_tags(view, _TIFF[start[:4]])
    except (struct.error, IndexError):
        pass
    return PictureTags()


def radiometric_maker(data: bytes | memoryview) -> str:
    """Maker of the camera where `data` is a radiometric JPEG, else "".

    Such a file holds the measured counts in a segment of its own. Its picture is a rendering of
    them: palette, logo and scale are drawn into it.
    """
    view = memoryview(data)
    return _jpeg_tags(view).rendering_of if bytes(view[:2]) == _JPEG else ""


def _jpeg_tags(data: memoryview) -> PictureTags:
    orientation, maker, is_dji = 1, "", False
    for number, segment in _application_segments(data):
        head = bytes(segment[:16])
        for name, where, mark in _RADIOMETRIC:
            if number == where and head.startswith(mark):
                maker = maker or name
        if number == 2 and _INFIRAY in head:
            maker = maker or "InfiRay"
        if number == 3 and is_dji:  # raw counts, without a mark of their own
            maker = maker or "DJI"
        if number == 1 and head.startswith(b"Exif\0\0"):
            orientation = _exif_orientation(segment[6:])
            is_dji = b"DJI" in bytes(segment[:4096])
    return PictureTags(orientation=orientation, rendering_of=maker)


def _application_segments(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and content of the APPn segments before the scan."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker == 0xDA or 0xD0 <= marker <= 0xD9:
            return
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if 0xE0 <= marker <= 0xEF:
            yield marker - 0xE0, data[at + 4 : at + 2 + length]
        at += 2 + max(2, length)


def _exif_orientation(tiff: memoryview) -> int:
    order = _TIFF.get(bytes(tiff[:4]))
    if order is None:
        return 1
    try:
        (at,) = struct.unpack_from(f"{order}I", tiff, 4)
        return _orientation(_entries(tiff, order, at)[0])
    except struct.error:
        return 1


def _orientation(entries: dict[int, int]) -> int:
    value = entries.get(_ORIENTATION, 1)
    return value if 1 <= value <= 8 else 1


def _tiff_tags(data: memoryview, order: str) -> PictureTags:
    (at,) = struct.unpack_from(f"{order}I", data, 4)
    first: dict[int, int] = {}
    pages, seen = 0, set()
    while at and at not in seen and len(seen) < _MOST_PAGES:
        seen.add(at)
        entries, at = _entries(data, order, at)
        first = first or entries
        pages += not entries.get(_SUBFILE, 0) & 1  # a reduced copy of another page is none
    deep = first.get(_BITS, 1) > 8
    return PictureTags(
        orientation=_orientation(first),
        pages=max(1, pages),
        is_inverted=deep and first.get(_PHOTOMETRIC) == _MINISWHITE,
    )


def _entries(data: memoryview, order: str, at: int) -> tuple[dict[int, int], int]:
    """Numbers of a TIFF directory by tag, the first of each, and where the next directory is."""
    (count,) = struct.unpack_from(f"{order}H", data, at)
    found = {}
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, values = struct.unpack_from(f"{order}HHI", data, entry)
        code = _TIFF_CODES.get(kind)
        if code is None or not values:
            continue
        place = entry + 8
        if values * struct.calcsize(code) > 4:
            (place,) = struct.unpack_from(f"{order}I", data, place)
        (found[tag],) = struct.unpack_from(f"{order}{code}", data, place)
    end = at + 2 + 12 * count
    following = struct.unpack_from(f"{order}I", data, end)[0] if end + 4 <= len(data) else 0
    return found, following


def _png_tags(data: memoryview) -> PictureTags:
    orientation, pages, gamma, is_srgb, at = 1, 1, None, False, 8
    while at + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind, content = bytes(data[at + 4 : at + 8]), data[at + 8 : at + 8 + length]
        if kind == b"IDAT":
            break
        if kind == b"gAMA":
            gamma = struct.unpack_from(">I", content)[0] / 1e5
        elif kind == b"acTL":
            (pages,) = struct.unpack_from(">I", content)
        elif kind == b"eXIf":
            orientation = _exif_orientation(content)
        is_srgb = is_srgb or kind == b"sRGB"
        at += 12 + length
    if gamma is not None and (is_srgb or abs(gamma - _SRGB_GAMMA) < 0.02 or gamma <= 0):
        gamma = None
    return PictureTags(orientation=orientation, pages=pages, gamma=gamma)
