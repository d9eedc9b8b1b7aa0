# SPDX-License-Identifier: Apache-2.0
"""Raw image encodings of `sensor_msgs/Image`, to and from arrays.

The bytes come from outside, so no header is trusted: sizes are compared with the number of bytes
before any memory is taken. Every fault raises `EncodingError` with a machine-readable reason. If
the layout allows it, the result is a read-only view of the bytes.
"""

from __future__ import annotations

import operator
import sys
from dataclasses import dataclass
from enum import Enum
from typing import Any

import cv2
import numpy as np

from fusion_ros.files.limits import MAX_PIXELS
from fusion_ros.imaging import bayer_and_yuv as exotic_encodings


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
    dtype: type
    channels: int
    order: ChannelOrder


_GREY8 = _Layout(np.uint8, 1, ChannelOrder.GREY)
_GREY16 = _Layout(np.uint16, 1, ChannelOrder.GREY)
_BGR8 = _Layout(np.uint8, 3, ChannelOrder.BGR)
_BGRA8 = _Layout(np.uint8, 4, ChannelOrder.BGR)
_LAYOUTS = {
    "rgb8": _Layout(np.uint8, 3, ChannelOrder.RGB),
    "bgr8": _BGR8,
    "rgba8": _Layout(np.uint8, 4, ChannelOrder.RGB),
    "bgra8": _BGRA8,
    "rgb16": _Layout(np.uint16, 3, ChannelOrder.RGB),
    "bgr16": _Layout(np.uint16, 3, ChannelOrder.BGR),
    "rgba16": _Layout(np.uint16, 4, ChannelOrder.RGB),
    "bgra16": _Layout(np.uint16, 4, ChannelOrder.BGR),
    "mono8": _GREY8,
    "mono16": _GREY16,
    "8UC1": _GREY8,
    "8UC3": _BGR8,  # OpenCV's generic types have OpenCV's order
    "8UC4": _BGRA8,
    "16UC3": _Layout(np.uint16, 3, ChannelOrder.BGR),
    "16UC4": _Layout(np.uint16, 4, ChannelOrder.BGR),
    "16UC1": _GREY16,
    "32FC1": _Layout(np.float32, 1, ChannelOrder.GREY),
}

RAW_ENCODINGS: tuple[str, ...] = tuple(_LAYOUTS)
"""Encodings read as a view of the bytes. Alpha, swapped bytes and 16-bit colour (its high byte is
kept) need a copy."""

EXOTIC_ENCODINGS: tuple[str, ...] = exotic_encodings.NAMES
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
    layout = _LAYOUTS.get(encoding) if isinstance(encoding, str) else None
    if layout is None and encoding not in EXOTIC_ENCODINGS:
        raise EncodingError(
            RejectReason.UNKNOWN_ENCODING,
            f"encoding is {_shown(encoding)}; allowed are {', '.join(RAW_ENCODINGS)}, "
            f"{', '.join(EXOTIC_ENCODINGS)}; let the driver publish one of them",
        )
    height, width = _size("height", height), _size("width", width)
    if height * width > MAX_PIXELS:
        raise EncodingError(
            RejectReason.TOO_LARGE,
            f"width x height is {width} x {height}, more than {MAX_PIXELS} pixels; "
            "publish a smaller image, or correct a driver that fills its header wrongly",
        )
    if layout is None:
        return _decode_exotic(data, encoding, height, width, step, is_bigendian)
    pixel_bytes = np.dtype(layout.dtype).itemsize * layout.channels
    buffer = _checked_bytes(data, encoding, height, width * pixel_bytes, step)
    pixels = _view(buffer, layout.dtype, height, width, layout.channels, step, is_bigendian)
    if layout.channels > 1 and layout.dtype is np.uint16:
        pixels = cv2.convertScaleAbs(pixels, alpha=1 / 257)
    if layout.channels == 4:  # the copy without alpha is made in RGB order
        rgba = layout.order is ChannelOrder.RGB
        code = cv2.COLOR_RGBA2RGB if rgba else cv2.COLOR_BGRA2RGB
        return PixelFrame(cv2.cvtColor(pixels, code), ChannelOrder.RGB)
    return PixelFrame(pixels, layout.order)


def decode(
    data: Any, *, encoding: str, height: int, width: int, step: int, is_bigendian: bool = False
) -> np.ndarray:
    """Read an image's bytes: `uint8` HxWx3 RGB for colour, HxW in its stored type for grey.

    Like `decode_frame`, with a swap of BGR input. The result may be a read-only view of `data`.

    Raises:
        EncodingError: the header and the bytes contradict each other.
    """
    return decode_frame(
        data, encoding=encoding, height=height, width=width, step=step, is_bigendian=is_bigendian
    ).as_rgb()


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
            f"output encoding is {_shown(encoding)}; allowed are {', '.join(OUTPUT_ENCODINGS)}",
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


def _decode_exotic(
    data: Any, encoding: str, height: int, width: int, step: int, is_bigendian: bool
) -> PixelFrame:
    source = exotic_encodings.SOURCES[encoding]
    if width % source.even_width or height % source.even_height or min(width, height) < 2:
        raise EncodingError(
            RejectReason.BAD_SIZE,
            f"width x height is {width} x {height}; {encoding} needs a width that is a multiple "
            f"of {source.even_width} and a height that is a multiple of {source.even_height}, "
            "both at least 2; set the driver to such a size",
        )
    rows = height * source.rows_per_two // 2
    pixel_bytes = np.dtype(source.dtype).itemsize * source.channels
    buffer = _checked_bytes(data, encoding, rows, width * pixel_bytes, step)
    pixels = _view(buffer, source.dtype, rows, width, source.channels, step, is_bigendian)
    return PixelFrame(exotic_encodings.to_rgb(pixels, source), ChannelOrder.RGB)


def _size(name: str, value: int) -> int:
    try:
        size = operator.index(value)
    except TypeError:
        size = -1
    if size < 1:
        raise EncodingError(
            RejectReason.ZERO_SIZE,
            f"{name} is {_shown(value)}; allowed is 1 and more; "
            "the driver publishes before it has an image, or fills its header wrongly",
        )
    return size


def _checked_bytes(data: Any, encoding: str, rows: int, row_bytes: int, step: int) -> memoryview:
    """Return the bytes of `data` after checking that they hold `rows` rows at `step`."""
    try:
        step = operator.index(step)
    except TypeError:
        step = -1
    if step < row_bytes:
        raise EncodingError(
            RejectReason.BAD_STEP,
            f"step is {_shown(step)} bytes; a row of {encoding} at this width takes {row_bytes}; "
            "allowed is that or more (padding); set step to the length of a row in bytes",
        )
    try:
        buffer = memoryview(data).cast("B")
    except (TypeError, ValueError) as error:
        raise EncodingError(
            RejectReason.TRUNCATED,
            f"data is {type(data).__name__}, which is no contiguous buffer of bytes ({error}); "
            "pass bytes, array.array('B') or a contiguous array",
        ) from None
    needed = step * (rows - 1) + row_bytes
    if buffer.nbytes < needed:
        raise EncodingError(
            RejectReason.TRUNCATED,
            f"data holds {buffer.nbytes} bytes; {encoding} with {rows} rows of step {step} takes "
            f"{needed}; the message was cut, or height, step and encoding do not match it",
        )
    return buffer


def _view(
    buffer: memoryview,
    dtype: type,
    rows: int,
    width: int,
    channels: int,
    step: int,
    is_bigendian: bool,
) -> np.ndarray:
    """Return a read-only view of `buffer`; a copy if its bytes are swapped or misaligned."""
    kind = np.dtype(dtype)
    shape: tuple[int, ...] = (rows, width)
    strides: tuple[int, ...] = (step, kind.itemsize * channels)
    if channels > 1:
        shape, strides = (*shape, channels), (*strides, kind.itemsize)
    stored = kind.newbyteorder(">" if is_bigendian else "<")
    pixels = np.ndarray(shape, stored, buffer=buffer, strides=strides)
    if stored.isnative and pixels.flags.aligned and step % kind.itemsize == 0:
        pixels.flags.writeable = False
        return pixels
    return pixels.astype(kind)


def _shown(value: object) -> str:
    """Return untrusted text for a log line: quoted and at most 60 characters long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
