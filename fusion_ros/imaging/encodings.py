# SPDX-License-Identifier: Apache-2.0
"""Raw image encodings of `sensor_msgs/Image`, to and from arrays.

The bytes come from outside, so no header is trusted: sizes are compared with the number of bytes
before any memory is taken. Every fault raises `EncodingError` with a machine-readable reason. If
the layout allows it, the result is a read-only view of the bytes.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import Enum
from typing import Any

import cv2
import numpy as np

from fusion_ros.files.limits import MAX_PIXELS
from fusion_ros.outside_text import printable


class RejectReason(str, Enum):
    """Why a frame's bytes cannot be read. The values are counter names."""

    MALFORMED = "malformed"
    TRUNCATED = "truncated"
    ZERO_SIZE = "zero_size"
    UNKNOWN_ENCODING = "unknown_encoding"
    BAD_STEP = "bad_step"
    BAD_SIZE = "bad_size"
    TOO_LARGE = "too_large"
    NOT_8_BIT = "not_8_bit"


class EncodingError(ValueError):
    """A frame that cannot be read or written; `reason` is its machine-readable cause."""

    def __init__(self, reason: RejectReason, message: str) -> None:
        super().__init__(message)
        self.reason = RejectReason(reason)


class ChannelOrder(str, Enum):
    """Content of the last axis of an image."""

    GREY = "grey"
    RGB = "rgb"
    BGR = "bgr"


@dataclass(frozen=True)
class PixelFrame:
    """Pixels and the order of their channels.

    `pixels` is HxW (`uint8`, `uint16` or `float32`) for `ChannelOrder.GREY`, else `uint8` HxWx3.
    It may be a read-only view of the message.
    """

    pixels: np.ndarray
    order: ChannelOrder
    rendering_of: str = ""
    """Maker of the camera if the pixels are a rendering of radiometric counts, else empty."""

    def as_rgb(self) -> np.ndarray:
        """Return grey and RGB pixels themselves, BGR as a copy in RGB order."""
        if self.order is ChannelOrder.BGR:
            return cv2.cvtColor(self.pixels, cv2.COLOR_BGR2RGB)
        return self.pixels


@dataclass(frozen=True)
class _Layout:
    """Memory layout of an encoding."""

    dtype: type
    channels: int
    order: ChannelOrder
    """Order after the conversion."""
    conversion: int | None = None
    """OpenCV's conversion to RGB, None if the pixels are used unchanged."""
    multiples: tuple[int, int] = (1, 1)
    """Numbers that divide width and height."""
    rows_per_two: int = 2
    """Rows of bytes for two rows of pixels: 3 if half-height chroma planes follow the luma."""


_GREY, _RGB, _BGR = ChannelOrder
_RAW = {
    "rgb8": _Layout(np.uint8, 3, _RGB),
    "bgr8": _Layout(np.uint8, 3, _BGR),
    "rgba8": _Layout(np.uint8, 4, _RGB, cv2.COLOR_RGBA2RGB),
    "bgra8": _Layout(np.uint8, 4, _RGB, cv2.COLOR_BGRA2RGB),
    "rgb16": _Layout(np.uint16, 3, _RGB),
    "bgr16": _Layout(np.uint16, 3, _BGR),
    "rgba16": _Layout(np.uint16, 4, _RGB, cv2.COLOR_RGBA2RGB),
    "bgra16": _Layout(np.uint16, 4, _RGB, cv2.COLOR_BGRA2RGB),
    "mono8": _Layout(np.uint8, 1, _GREY),
    "mono16": _Layout(np.uint16, 1, _GREY),
    "8UC1": _Layout(np.uint8, 1, _GREY),
    "8UC3": _Layout(np.uint8, 3, _BGR),  # OpenCV's generic types have OpenCV's order
    "8UC4": _Layout(np.uint8, 4, _RGB, cv2.COLOR_BGRA2RGB),
    "16UC3": _Layout(np.uint16, 3, _BGR),
    "16UC4": _Layout(np.uint16, 4, _RGB, cv2.COLOR_BGRA2RGB),
    "16UC1": _Layout(np.uint16, 1, _GREY),
    "32FC1": _Layout(np.float32, 1, _GREY),
}
_BAYER = {
    f"bayer_{pattern.lower()}{8 * dtype().itemsize}": _Layout(
        dtype, 1, _RGB, getattr(cv2, f"COLOR_Bayer{pattern}2RGB")
    )
    for dtype in (np.uint8, np.uint16)
    for pattern in ("RGGB", "BGGR", "GBRG", "GRBG")
}
# YUV is read as BT.601 video range, as in OpenCV and cv_bridge.
_UYVY = _Layout(np.uint8, 2, _RGB, cv2.COLOR_YUV2RGB_UYVY, (2, 1))
_YUYV = _Layout(np.uint8, 2, _RGB, cv2.COLOR_YUV2RGB_YUY2, (2, 1))
_CONVERTED = {
    **_BAYER,
    "yuv422": _UYVY,  # ROS's older name for the same bytes
    "uyvy": _UYVY,
    "yuv422_yuy2": _YUYV,
    "yuyv": _YUYV,
    "nv12": _Layout(np.uint8, 1, _RGB, cv2.COLOR_YUV2RGB_NV12, (2, 2), 3),
    "nv21": _Layout(np.uint8, 1, _RGB, cv2.COLOR_YUV2RGB_NV21, (2, 2), 3),
}
_LAYOUTS = _RAW | _CONVERTED

RAW_ENCODINGS: tuple[str, ...] = tuple(_RAW)
"""Encodings read as a view of the bytes. Alpha, swapped bytes and 16-bit colour (its high byte is
kept) need a copy."""

EXOTIC_ENCODINGS: tuple[str, ...] = tuple(_CONVERTED)
"""Encodings that OpenCV converts to RGB: Bayer patterns and YUV."""

OUTPUT_ENCODINGS: tuple[str, ...] = ("rgb8", "bgr8", "mono8", "mono16", "16UC1", "32FC1")


def decode_frame(
    data: Any, *, encoding: str, height: int, width: int, step: int, is_bigendian: bool = False
) -> PixelFrame:
    """Read an image's bytes without changing the order of its channels.

    `bgr8` stays BGR, because most callers need no swap; see `colour.luma`.

    Args:
        data: any object with the buffer protocol (`bytes`, `array.array`, an array).
        encoding: one of `RAW_ENCODINGS` or `EXOTIC_ENCODINGS`.
        height, width: in pixels.
        step: length of a row in bytes, padding included; the last row's padding may be missing.
        is_bigendian: byte order of 16-bit and float pixels.

    Raises:
        EncodingError: the header and the bytes contradict each other.
    """
    layout = _LAYOUTS.get(encoding)
    if layout is None:
        raise EncodingError(
            RejectReason.UNKNOWN_ENCODING,
            f"encoding is {printable(repr(encoding), 60)}; allowed are {', '.join(_LAYOUTS)}; "
            "let the driver publish one of them",
        )
    for name, length in (("height", height), ("width", width)):
        if length < 1:
            raise EncodingError(
                RejectReason.ZERO_SIZE,
                f"{name} is {length}; allowed is 1 and more; "
                "the driver publishes before it has an image, or fills its header wrongly",
            )
    if height * width > MAX_PIXELS:
        raise EncodingError(
            RejectReason.TOO_LARGE,
            f"width x height is {width} x {height}, more than {MAX_PIXELS} pixels; "
            "publish a smaller image, or correct a driver that fills its header wrongly",
        )
    if encoding in _CONVERTED:
        _check_multiples(encoding, layout, height, width)
    rows = height * layout.rows_per_two // 2
    pixel_bytes = np.dtype(layout.dtype).itemsize * layout.channels
    buffer = _checked_bytes(data, encoding, rows, width * pixel_bytes, step)
    pixels = _view(buffer, layout, (rows, width), step, is_bigendian)
    if layout.conversion is not None:
        pixels = cv2.cvtColor(np.ascontiguousarray(pixels), layout.conversion)
    if layout.order is not ChannelOrder.GREY and layout.dtype is np.uint16:
        pixels = cv2.convertScaleAbs(pixels, alpha=1 / 257)  # all 16 bits are assumed to be used
    return PixelFrame(pixels, layout.order)


def encode(
    pixels: np.ndarray, encoding: str, *, order: ChannelOrder | str = ChannelOrder.RGB
) -> tuple[np.ndarray, int]:
    """Return pixels as the bytes of a little-endian image message without padding, and the step.

    Args:
        pixels: `uint8` HxW or HxWx3 (channels in `order`) for rgb8, bgr8 and mono8, converted as
            needed; `uint16` HxW for mono16 and 16UC1; `float32` HxW for 32FC1.
        encoding: one of `OUTPUT_ENCODINGS`.
        order: order of the channels of `pixels`.

    Returns:
        The flat `uint8` bytes (a view of `pixels` if no conversion is needed), the step in bytes.

    Raises:
        EncodingError: another encoding, or pixels that do not fit it.
    """
    if encoding not in OUTPUT_ENCODINGS:
        raise EncodingError(
            RejectReason.UNKNOWN_ENCODING,
            f"output encoding is {printable(repr(encoding), 60)}; allowed are "
            f"{', '.join(OUTPUT_ENCODINGS)}",
        )
    if 0 in pixels.shape:
        raise EncodingError(RejectReason.ZERO_SIZE, f"pixels of shape {pixels.shape} are empty")
    if encoding in ("rgb8", "bgr8", "mono8"):
        wanted = "uint8 HxW or HxWx3"
        fits = pixels.dtype == np.uint8 and (pixels.ndim == 2 or pixels.shape[2:] == (3,))
    else:
        dtype = np.dtype(_LAYOUTS[encoding].dtype)
        wanted = f"{dtype} HxW"
        fits = pixels.dtype == dtype and pixels.ndim == 2
    if not fits:
        raise EncodingError(
            RejectReason.BAD_SIZE,
            f"encoding {encoding} takes {wanted}, not {pixels.dtype} of shape {pixels.shape}",
        )
    ordered = np.ascontiguousarray(_ordered_for(pixels, encoding, ChannelOrder(order)))
    if sys.byteorder == "big":
        ordered = ordered.byteswap()
    flat = ordered.reshape(-1).view(np.uint8)
    return flat, flat.size // pixels.shape[0]


def _ordered_for(pixels: np.ndarray, encoding: str, order: ChannelOrder) -> np.ndarray:
    if pixels.ndim == 2:
        return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB) if encoding in ("rgb8", "bgr8") else pixels
    if encoding == "mono8":
        bgr = order is ChannelOrder.BGR
        return cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY if bgr else cv2.COLOR_RGB2GRAY)
    if encoding != f"{order.value}8":
        return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    return pixels


def _check_multiples(encoding: str, layout: _Layout, height: int, width: int) -> None:
    across, down = layout.multiples
    if width % across or height % down or min(width, height) < 2:
        raise EncodingError(
            RejectReason.BAD_SIZE,
            f"width x height is {width} x {height}; {encoding} needs a width that is a multiple "
            f"of {across} and a height that is a multiple of {down}, "
            "both at least 2; set the driver to such a size",
        )


def _checked_bytes(data: Any, encoding: str, rows: int, row_bytes: int, step: int) -> memoryview:
    """Return the bytes of `data` after checking that they hold `rows` rows at `step`."""
    if step < row_bytes:
        raise EncodingError(
            RejectReason.BAD_STEP,
            f"step is {step} bytes; a row of {encoding} at this width takes {row_bytes}; "
            "allowed is that or more (padding); set step to the length of a row in bytes",
        )
    buffer = memoryview(data).cast("B")
    needed = step * (rows - 1) + row_bytes
    if buffer.nbytes < needed:
        raise EncodingError(
            RejectReason.TRUNCATED,
            f"data holds {buffer.nbytes} bytes; {encoding} with {rows} rows of step {step} takes "
            f"{needed}; the message was cut, or height, step and encoding do not match it",
        )
    return buffer


def _view(
    buffer: memoryview, layout: _Layout, shape: tuple[int, ...], step: int, is_bigendian: bool
) -> np.ndarray:
    """Return a read-only view of `buffer`; a copy if its bytes are swapped or misaligned."""
    kind = np.dtype(layout.dtype)
    strides: tuple[int, ...] = (step, kind.itemsize * layout.channels)
    if layout.channels > 1:
        shape, strides = (*shape, layout.channels), (*strides, kind.itemsize)
    stored = kind.newbyteorder(">" if is_bigendian else "<")
    pixels = np.ndarray(shape, stored, buffer=buffer, strides=strides)
    if stored.isnative and pixels.flags.aligned and step % kind.itemsize == 0:
        pixels.flags.writeable = False
        return pixels
    return pixels.astype(kind)
