# SPDX-License-Identifier: Apache-2.0
"""Image files of the two cameras: exact pixels, or an error where reading would change them."""

from __future__ import annotations

import mmap
from pathlib import Path

import cv2
import numpy as np

from fusion_ros.imaging.compressed import decode_stored, read_image_bytes, read_image_file
from fusion_ros.imaging.encodings import ChannelOrder, EncodingError, PixelFrame, RejectReason
from fusion_ros.imaging.image_header import ImageSize, ImageTags, image_tags, tiff_pages
from fusion_ros.recordings.radiometric import counts_of, embedded_visible
from fusion_ros.streams.ledger import Stream

IMAGES = (
    ".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".heic", ".heif", ".pgm", ".ppm",
)  # fmt: skip
TIFF = (".tif", ".tiff")
NOT_READ = {
    ".seq": "a FLIR sequence is not read; export its images as 16-bit TIFF",
    ".csq": "a compressed FLIR sequence is not read; export its images as 16-bit TIFF",
}
"""Thermal files that no maintained library reads, with advice."""
VIDEOS = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".ts")
_ALPHA = b"\x04\x06"
_PNG_COLOUR_AT = 25


def is_video(path: Path) -> bool:
    """Whether a file has the suffix of a video, or is a TIFF file of several images."""
    return path.suffix.lower() in VIDEOS or len(stack_pages(path)) > 1


def stack_pages(path: Path) -> list[ImageSize]:
    """Return the size of each image of a TIFF file; empty for other and unreadable files."""
    if path.suffix.lower() not in TIFF or not path.is_file() or not path.stat().st_size:
        return []
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        memoryview(data) as view,
    ):
        return tiff_pages(view)


def read_pair(visible: Path, thermal: Path) -> tuple[PixelFrame, PixelFrame]:
    """Read an image of each camera; see `read_frame`.

    Raises:
        EncodingError, OSError: an image cannot be read, the visible one has more than 8 bits, or
            their orientation tags differ.
    """
    frames = read_frame(visible, Stream.VISIBLE), read_frame(thermal, Stream.THERMAL)
    check_visible(frames[0], visible.name)
    if turned := orientations_differ(visible, thermal):
        raise EncodingError(RejectReason.UNKNOWN_ENCODING, turned)
    return frames


def read_frame(path: Path, stream: Stream) -> PixelFrame:
    """Read an image of one camera.

    Of a radiometric JPEG, the thermal camera has the measured counts, and the visible camera the
    image that FLIR embeds.

    Returns:
        Visible: `uint8` HxWx3 (BGR) or HxW; `uint16` HxW of 16-bit grey, see `check_visible`.
        Thermal: `uint8`, `uint16` or `float32` HxW as stored; `uint8` HxWx3 (BGR) of colours.

    Raises:
        EncodingError: unreadable, damaged, too large, several pages, transparent pixels, samples
            that are neither 8 nor 16 bits nor float, or a rendering of counts that are not read.
    """
    data = read_image_bytes(path)
    tags = image_tags(data)
    if tags.rendering_of and stream is Stream.THERMAL:  # the rendering may even be damaged
        return PixelFrame(_counts(path, data, tags.rendering_of), ChannelOrder.GREY)
    pixels = read_image_file(path)
    _check(path, tags, data)
    if tags.rendering_of == "FLIR" and (inside := embedded_visible(data)) is not None:
        seen = decode_stored(inside)
        if seen is None:
            raise _refused(path, "holds a damaged visible image")
        return PixelFrame(seen, ChannelOrder.BGR if seen.ndim == 3 else ChannelOrder.GREY)
    pixels = _samples(path, pixels)
    if pixels.ndim == 3:
        pixels = _colour(path, pixels, stream)
    if stream is Stream.VISIBLE and tags.gamma is not None:
        pixels = _to_srgb(pixels, tags.gamma)
    order = ChannelOrder.BGR if pixels.ndim == 3 else ChannelOrder.GREY
    return PixelFrame(pixels, order, rendering_of=tags.rendering_of)


def has_visible_inside(path: Path) -> bool:
    """Whether a file is a radiometric JPEG of FLIR with counts and a visible image."""
    data = _bytes_of(path)
    return image_tags(data).rendering_of == "FLIR" and embedded_visible(data) is not None


def _bytes_of(path: Path) -> bytes:
    """Return the bytes of an image file; none of an unreadable one."""
    try:
        return read_image_bytes(path)
    except EncodingError:
        return b""


def orientations_differ(visible: Path, thermal: Path) -> str:
    """Return the reason why the orientations of two images do not match, or ""."""
    seen, felt = (image_tags(_bytes_of(path)).orientation for path in (visible, thermal))
    if seen == felt:
        return ""
    return (
        f"orientation tag is {seen} in {visible.name} and {felt} in {thermal.name}: one of the two "
        "is stored rotated; rotate its pixels and remove the tag from both"
    )


def check_visible(frame: PixelFrame, name: str) -> None:
    """Refuse visible frames of more than 8 bits.

    Raises:
        EncodingError: the pixels are not `uint8`; the message contains `name`.
    """
    if frame.pixels.dtype != np.uint8:
        raise EncodingError(
            RejectReason.NOT_8_BIT,
            f"{name} holds {frame.pixels.dtype}; a visible image is 8-bit grey or colour. Are "
            "visible and thermal swapped?",
        )


def _check(path: Path, tags: ImageTags, data: bytes) -> None:
    problem = ""
    if tags.pages > 1:
        problem = f"holds {tags.pages} images; such a file pairs with a video or another one"
    elif tags.orientation != 1 and data[:2] in (b"II", b"MM"):
        # OpenCV rotates the pixels of TIFF files by their tag, and of no other format.
        problem = f"has orientation tag {tags.orientation}; allowed is 1, store the pixels upright"
    elif tags.is_inverted:
        problem = "stores white as 0 (photometric MINISWHITE); allowed is MINISBLACK"
    elif _has_transparent_pixels(data):
        problem = "has transparent pixels; allowed are opaque ones, flatten the image"
    if problem:
        raise _refused(path, problem)


def _counts(path: Path, data: bytes, maker: str) -> np.ndarray:
    """Return the measured counts in place of their rendering with palette, logo and scale."""
    counts = counts_of(data, maker)
    if counts is None:
        raise _refused(
            path,
            f"is a rendering of a {maker} camera beside counts that are not read (read are those "
            "of FLIR and DJI); export the counts as 16-bit PNG or TIFF",
        )
    return counts


def _has_transparent_pixels(data: bytes) -> bool:
    may = data[8:12] == b"WEBP" or (
        data[:4] == b"\x89PNG"
        and (data[_PNG_COLOUR_AT] in _ALPHA or b"tRNS" in data[: data.find(b"IDAT")])
    )
    if not may:
        return False
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.ndim != 3 or pixels.shape[2] != 4:
        return False
    return bool((pixels[..., 3] == 0).any())  # the colour of such pixels is undefined


def _samples(path: Path, pixels: np.ndarray) -> np.ndarray:
    """Convert to `uint8`, `uint16` or `float32` where no value changes."""
    if pixels.dtype.kind == "i" and pixels.size and 0 <= pixels.min() <= pixels.max() <= 65535:
        return pixels.astype(np.uint16)
    if pixels.dtype not in (np.uint8, np.uint16, np.float32):
        what = f"{pixels.dtype} from {pixels.min()} to {pixels.max()}" if pixels.size else "nothing"
        raise _refused(path, f"holds {what}; allowed are 8 bits, 0 to 65535, or float32")
    return pixels


def _colour(path: Path, pixels: np.ndarray, stream: Stream) -> np.ndarray:
    """Return 8-bit colour; thermal images with equal channels become grey."""
    if stream is Stream.THERMAL and (pixels == pixels[..., :1]).all():
        return np.ascontiguousarray(pixels[..., 0])
    if pixels.dtype != np.uint8:
        raise _refused(path, f"is a colour image of {pixels.dtype}; allowed are 8 or 16 bits")
    return pixels


def _to_srgb(pixels: np.ndarray, gamma: float) -> np.ndarray:
    """Convert samples with another gamma to display samples (PNG specification)."""
    if pixels.dtype != np.uint8:
        return pixels
    levels = np.linspace(0.0, 1.0, 256) ** (1 / (2.2 * gamma))
    return cv2.LUT(pixels, np.rint(levels * 255).astype(np.uint8))


def _refused(path: Path, why: str) -> EncodingError:
    return EncodingError(RejectReason.UNKNOWN_ENCODING, f"{path.name} {why}")
