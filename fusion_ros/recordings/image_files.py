# SPDX-License-Identifier: Apache-2.0
"""Image files of the two cameras: exact pixels, or an error where reading would change them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from fusion_ros.imaging.compressed import read_image_bytes, read_image_file
from fusion_ros.imaging.encodings import ChannelOrder, EncodingError, PixelFrame, RejectReason
from fusion_ros.imaging.image_header import ImageTags, image_tags
from fusion_ros.streams.ledger import Stream

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".pgm", ".ppm")
VIDEOS = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".ts")
_ALPHA = b"\x04\x06"
_PNG_COLOUR_AT = 25


def read_frame(path: Path, stream: Stream) -> PixelFrame:
    """Read an image of one camera.

    Returns:
        Visible: `uint8` HxWx3 (BGR) or HxW; `uint16` HxW of 16-bit grey, see `check_visible`.
        Thermal: `uint8`, `uint16` or `float32` HxW as stored; `uint8` HxWx3 (BGR) of colours.

    Raises:
        EncodingError: unreadable, damaged, too large, several pages, transparent pixels, or samples
            that are neither 8 nor 16 bits nor float.
    """
    pixels = read_image_file(path)
    data = read_image_bytes(path)
    tags = image_tags(data)
    _check(path, tags, data)
    pixels = _samples(path, pixels)
    if pixels.ndim == 3:
        pixels = _colour(path, pixels, stream)
    if stream is Stream.VISIBLE and tags.gamma is not None:
        pixels = _to_srgb(pixels, tags.gamma)
    order = ChannelOrder.BGR if pixels.ndim == 3 else ChannelOrder.GREY
    return PixelFrame(pixels, order, rendering_of=tags.rendering_of)


def orientation_of(path: Path) -> int:
    """Return a file's orientation tag; 1 without a tag and for unreadable files."""
    try:
        return image_tags(read_image_bytes(path)).orientation
    except EncodingError:
        return 1


def orientations_differ(visible: Path, thermal: Path) -> str:
    """Return the reason why the orientations of two images do not match, or ""."""
    seen, felt = orientation_of(visible), orientation_of(thermal)
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
    if tags.pages > 1:
        raise _refused(path, f"holds {tags.pages} images; allowed is one, write each to a file")
    if tags.orientation != 1 and data[:2] in (b"II", b"MM"):
        # OpenCV rotates the pixels of TIFF files by their tag, and of no other format.
        raise _refused(
            path, f"has orientation tag {tags.orientation}; allowed is 1, store the pixels upright"
        )
    if tags.is_inverted:
        raise _refused(path, "stores white as 0 (photometric MINISWHITE); allowed is MINISBLACK")
    if _has_transparent_pixels(data):
        raise _refused(path, "has transparent pixels; allowed are opaque ones, flatten the image")


def _has_transparent_pixels(data: bytes) -> bool:
    may = data[:4] == b"\x89PNG" and (
        data[_PNG_COLOUR_AT] in _ALPHA or b"tRNS" in data[: data.find(b"IDAT")]
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
