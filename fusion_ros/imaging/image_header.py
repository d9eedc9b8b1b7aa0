# SPDX-License-Identifier: Apache-2.0
"""Size and tags of an image file, read from its header without decoding the pixels."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
_TIFF = {b"II*\0": "<", b"MM\0*": ">"}
_WEBP = b"WEBP"
_NETPBM = re.compile(rb"P[1-6](?:\s|#[^\n]*\n)+(\d+)(?:\s|#[^\n]*\n)+(\d+)")

_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
_SRGB_GAMMA = 1 / 2.2

# Start-of-frame markers carry the size; C4, C8 and CC in the same range are tables.
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
# How radiometric JPEGs mark the segment with the measured counts: application number, first bytes.
_RADIOMETRIC = (
    ("FLIR", 1, b"FLIR\0"),
    ("Parrot", 1, b"PARROT\0"),
    ("DJI", 4, b"\xaa\x55\x12\x06"),
    ("DJI", 6, b"DTAT\0"),
)
_INFIRAY = b"IJPEG\0"

_SUBFILE, _WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _ORIENTATION, _CHANNELS = (
    254, 256, 257, 258, 262, 274, 277,
)  # fmt: skip
_TIFF_TAGS = frozenset((_SUBFILE, _WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _ORIENTATION, _CHANNELS))
_TIFF_CODES = {1: "B", 3: "H", 4: "I"}
_MINISWHITE = 0
_MOST_PAGES = 4096


class ImageSize(NamedTuple):
    """Size in a file header. `pixel_bytes` is the size of a decoded pixel."""

    width: int
    height: int
    pixel_bytes: int
    kind: str


class ImageTags(NamedTuple):
    """Entries of an image file that change the meaning of its pixels.

    Attributes:
        orientation: EXIF or TIFF orientation, 1 (as stored) to 8.
        pages: number of full-size images in the file.
        gamma: exponent of a PNG's samples if it differs from that of sRGB, else None.
        is_inverted: whether 0 means white in an image of more than 8 bits.
        rendering_of: maker of the camera whose counts the file holds beside a rendering, or "".
    """

    orientation: int = 1
    pages: int = 1
    gamma: float | None = None
    is_inverted: bool = False
    rendering_of: str = ""


def image_size(data: bytes | memoryview) -> ImageSize | None:
    """Return the size of a JPEG, PNG, TIFF, BMP, WebP or Netpbm file, None for anything else."""
    view = memoryview(data)
    read, _ = _readers(view)
    try:
        return read(view)
    except struct.error:  # the header is cut
        return None


def image_tags(data: bytes | memoryview) -> ImageTags:
    """Return the tags of a JPEG, PNG, TIFF or WebP; the defaults for other and damaged files."""
    view = memoryview(data)
    _, read = _readers(view)
    try:
        return read(view)
    except (struct.error, IndexError):
        return ImageTags()


def _readers(
    data: memoryview,
) -> tuple[Callable[[memoryview], ImageSize | None], Callable[[memoryview], ImageTags]]:
    """Return the functions that read size and tags of this kind of file."""
    start = bytes(data[:12])
    if start[:8] == _PNG:
        return _png_size, _png_tags
    if start[:2] == _JPEG:
        return _jpeg_size, _jpeg_tags
    if start[:4] in _TIFF:
        return lambda data: _tiff_size(next(_tiff_directories(data))), _tiff_tags
    if start[8:] == _WEBP:
        return _webp_size, _webp_tags
    others = {b"BM": _bmp_size, b"P": _netpbm_size}
    read = next((read for begin, read in others.items() if start.startswith(begin)), lambda _: None)
    return read, lambda _: ImageTags()


def radiometric_maker(data: bytes | memoryview) -> str:
    """Return the camera maker of a radiometric JPEG, "" for other data.

    Such a file holds the measured counts in a separate segment. Its image is a rendering of them
    with a palette, a logo and a scale.
    """
    view = memoryview(data)
    return _jpeg_tags(view).rendering_of if bytes(view[:2]) == _JPEG else ""


def _png_size(data: memoryview) -> ImageSize:
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    return ImageSize(width, height, _PNG_CHANNELS.get(colour, 4) * max(1, depth // 8), "PNG")


def _png_tags(data: memoryview) -> ImageTags:
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
    return ImageTags(orientation=orientation, pages=pages, gamma=gamma)


def jpeg_segments(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield marker and content of the segments before the scan."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # fill bytes may precede a marker
            at += 1
        elif marker in (_START_OF_SCAN, _END_OF_IMAGE):
            return
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:  # markers without a length
            at += 2
        else:
            length = int.from_bytes(data[at + 2 : at + 4], "big")
            yield marker, data[at + 4 : at + 2 + length]
            at += 2 + max(2, length)


def _jpeg_size(data: memoryview) -> ImageSize | None:
    for marker, segment in jpeg_segments(data):
        if marker in _START_OF_FRAME:
            height, width = struct.unpack_from(">HH", segment, 1)
            return ImageSize(width, height, 3, "JPEG")
    return None


def _jpeg_tags(data: memoryview) -> ImageTags:
    orientation, maker, is_dji = 1, "", False
    for marker, segment in jpeg_segments(data):
        number, head = marker - 0xE0, bytes(segment[:16])
        for name, where, mark in _RADIOMETRIC:
            if number == where and head.startswith(mark):
                maker = maker or name
        if number == 2 and _INFIRAY in head:
            maker = maker or "InfiRay"
        if number == 3 and is_dji:  # raw counts without a mark
            maker = maker or "DJI"
        if number == 1 and head.startswith(b"Exif\0\0"):
            orientation = _exif_orientation(segment[6:])
            is_dji = b"DJI" in bytes(segment[:4096])
    return ImageTags(orientation=orientation, rendering_of=maker)


def _exif_orientation(tiff: memoryview) -> int:
    order = _TIFF.get(bytes(tiff[:4]))
    if order is None:
        return 1
    try:
        (at,) = struct.unpack_from(f"{order}I", tiff, 4)
        return _orientation(_tiff_directory(tiff, order, at)[0])
    except struct.error:
        return 1


def _orientation(entries: dict[int, int]) -> int:
    value = entries.get(_ORIENTATION, 1)
    return value if 1 <= value <= 8 else 1


def tiff_pages(data: bytes | memoryview) -> list[ImageSize]:
    """Return the size of each full-size image of a TIFF file; empty for other and damaged data."""
    view = memoryview(data)
    try:
        directories = list(_tiff_directories(view)) if bytes(view[:4]) in _TIFF else []
    except struct.error:
        return []
    sizes = (_tiff_size(d) for d in directories if not d.get(_SUBFILE, 0) & 1)
    return [size for size in sizes if size is not None]


def _tiff_size(found: dict[int, int]) -> ImageSize | None:
    if _WIDTH not in found or _HEIGHT not in found:
        return None
    pixel_bytes = max(1, found.get(_CHANNELS, 1)) * max(1, found.get(_BITS, 1) // 8)
    return ImageSize(found[_WIDTH], found[_HEIGHT], pixel_bytes, "TIFF")


def _tiff_tags(data: memoryview) -> ImageTags:
    directories = list(_tiff_directories(data))
    first = directories[0]
    # A reduced copy of a page does not count.
    pages = sum(not entries.get(_SUBFILE, 0) & 1 for entries in directories)
    deep = first.get(_BITS, 1) > 8
    return ImageTags(
        orientation=_orientation(first),
        pages=max(1, pages),
        is_inverted=deep and first.get(_PHOTOMETRIC) == _MINISWHITE,
    )


def _tiff_directories(data: memoryview) -> Iterator[dict[int, int]]:
    """Yield the first number of each tag, by directory."""
    order = _TIFF[bytes(data[:4])]
    (at,) = struct.unpack_from(f"{order}I", data, 4)
    seen: set[int] = set()
    while (at or not seen) and at not in seen and len(seen) < _MOST_PAGES:
        seen.add(at)
        entries, at = _tiff_directory(data, order, at)
        yield entries


def _tiff_directory(data: memoryview, order: str, at: int) -> tuple[dict[int, int], int]:
    """Return the first number of each tag in a TIFF directory, and the next directory's offset."""
    (count,) = struct.unpack_from(f"{order}H", data, at)
    found = {}
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, values = struct.unpack_from(f"{order}HHI", data, entry)
        code = _TIFF_CODES.get(kind)
        if tag not in _TIFF_TAGS or code is None or not values:
            continue
        place = entry + 8
        if values * struct.calcsize(code) > 4:  # the entry holds the offset of its values
            (place,) = struct.unpack_from(f"{order}I", data, place)
        (found[tag],) = struct.unpack_from(f"{order}{code}", data, place)
    end = at + 2 + 12 * count
    following = struct.unpack_from(f"{order}I", data, end)[0] if end + 4 <= len(data) else 0
    return found, following


def _bmp_size(data: memoryview) -> ImageSize:
    (header,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if header == 12 else "<ii", data, 18)
    # A negative height means rows from top to bottom.
    return ImageSize(abs(width), abs(height), 4, "BMP")


def _webp_chunks(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    at = 12
    while at + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, at + 4)
        yield bytes(data[at : at + 4]), data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _webp_size(data: memoryview) -> ImageSize | None:
    for kind, content in _webp_chunks(data):
        if kind == b"VP8X":  # 24-bit numbers, each one too small
            width, height = (int.from_bytes(content[at : at + 3], "little") + 1 for at in (4, 7))
            return ImageSize(width, height, 4, "WebP")
        if kind == b"VP8L":
            (bits,) = struct.unpack_from("<I", content, 1)
            return ImageSize((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, 4, "WebP")
        if kind == b"VP8 ":
            width, height = struct.unpack_from("<HH", content, 6)
            return ImageSize(width & 0x3FFF, height & 0x3FFF, 4, "WebP")
    return None


def _webp_tags(data: memoryview) -> ImageTags:
    chunks = list(_webp_chunks(data))
    exif = next((content for kind, content in chunks if kind == b"EXIF"), memoryview(b""))
    return ImageTags(
        orientation=_exif_orientation(exif[6:] if bytes(exif[:4]) == b"Exif" else exif),
        pages=max(1, sum(kind == b"ANMF" for kind, _ in chunks)),
    )


def _netpbm_size(data: memoryview) -> ImageSize | None:
    match = _NETPBM.match(bytes(data[:4096]))
    if match is None or max(map(len, match.groups())) > 9:
        return None
    channels = 3 if bytes(data[1:2]) in b"36" else 1
    return ImageSize(int(match[1]), int(match[2]), 2 * channels, "Netpbm")
