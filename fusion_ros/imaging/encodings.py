# SPDX-License-Identifier: Apache-2.0
"""Raw image encodings, as `sensor_msgs/Image` names them, to and from arrays.

The bytes come from outside, so nothing here trusts a header: sizes are checked against the bytes
that are really there before any memory is taken, and whatever is wrong raises `EncodingError` with
a machine-readable reason. Where the layout allows it, the answer is a read-only view on the bytes.
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
    """A frame that cannot be read or written: `reason` is for machines, the text for people."""

    def __init__(self, reason: RejectReason, message: str) -> None:
        super().__init__(message)
        self.reason = RejectReason(reason)


class ChannelOrder(str, Enum):
    """What the last axis of a picture holds."""

    GREY = "grey"
    RGB = "rgb"
    BGR = "bgr"


@dataclass(frozen=True)
class PixelFrame:
    """Pixels and the order of their channels.

    `pixels` is HxW (`uint8`, `uint16` or `float32`) for `ChannelOrder.GREY`, else `uint8` HxWx3.
    It may be a read-only view on the message it came from.
    """

    pixels: np.ndarray
    order: ChannelOrder
    rendering_of: str = ""
    """Maker of the radiometric camera of whose counts the pixels are a rendering, else empty."""

    def as_rgb(self) -> np.ndarray:
        """The pixels as they are if grey or RGB, else a copy in RGB order (0.1 ms at 640x512)."""
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
    "8UC3": _BGR8,  # OpenCV's generic types carry OpenCV's order
    "8UC4": _BGRA8,
    "16UC3": _Layout(np.uint16, 3, ChannelOrder.BGR),
    "16UC4": _Layout(np.uint16, 4, ChannelOrder.BGR),
    "16UC1": _GREY16,
    "32FC1": _Layout(np.float32, 1, ChannelOrder.GREY),
}

RAW_ENCODINGS: tuple[str, ...] = tuple(_LAYOUTS)
"""Encodings read as a view on the bytes, but for alpha, swapped bytes and 16-bit colour (its high
byte is kept), which take a copy."""

EXOTIC_ENCODINGS: tuple[str, ...] = exotic_encodings.NAMES
"""Encodings that OpenCV converts to RGB: Bayer patterns and YUV."""

OUTPUT_ENCODINGS: tuple[str, ...] = ("rgb8", "bgr8", "mono8", "mono16", "16UC1", "32FC1")


def decode_frame(
    data: Any, *, encoding: str, height: int, width: int, step: int, is_bigendian: bool = False
) -> PixelFrame:
    """Read an image's bytes without changing the order of its channels.

    `data` is anything with the buffer protocol (`bytes`, `array.array`, an array). `step` is the
    length of a row in bytes, padding included; the padding of the last row may be missing. bgr8
    comes back as BGR, so that nobody pays for a swap that nobody needs; see `colour.luma`.

    Raises:
        EncodingError: the header and the bytes do not fit each other.
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
            "publish a smaller image, or look for a driver that fills its header wrongly",
        )
    if layout is None:
        return _decode_exotic(data, encoding, height, width, step, is_bigendian)
    pixel_bytes = np.dtype(layout.dtype).itemsize * layout.channels
    buffer = _checked_bytes(data, encoding, height, width * pixel_bytes, step)
    pixels = _view(buffer, layout.dtype, height, width, layout.channels, step, is_bigendian)
    if layout.channels > 1 and layout.dtype is np.uint16:
        pixels = cv2.convertScaleAbs(pixels, alpha=1 / 257)
    if layout.channels == 4:  # alpha is dropped; the copy settles the order as well
        rgba = layout.order is ChannelOrder.RGB
        code = cv2.COLOR_RGBA2RGB if rgba else cv2.COLOR_BGRA2RGB
        return PixelFrame(cv2.cvtColor(pixels, code), ChannelOrder.RGB)
    return PixelFrame(pixels, layout.order)


def decode(
    data: Any, *, encoding: str, height: int, width: int, step: int, is_bigendian: bool = False
) -> np.ndarray:
    """Read an image's bytes: `uint8` HxWx3 RGB for colour, HxW in its own type for grey.

    `decode_frame` with the swap that BGR input needs. The answer may be a read-only view on `data`.

    Raises:
        EncodingError: the header and the bytes do not fit each other.
    """
    return decode_frame(
        data, encoding=encoding, height=height, width=width, step=step, is_bigendian=is_bigendian
    ).as_rgb()


def encode(
    pixels: np.ndarray, encoding: str, *, order: ChannelOrder | str = ChannelOrder.RGB
) -> tuple[np.ndarray, int]:
    """Pixels as the bytes of a little-endian image message without padding.

    `pixels` is `uint8` HxW or HxWx3 (channels in `order`) for rgb8, bgr8 and mono8, converted as
    needed; `uint16` HxW for mono16 and 16UC1; `float32` HxW for 32FC1. Answers the flat `uint8`
    bytes (a view on `pixels` where nothing had to be done) and the step in bytes.

    Raises:
        EncodingError: not one of `OUTPUT_ENCODINGS`, or pixels that do not fit it.
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
    """The bytes behind `data`, known to hold `rows` rows of `row_bytes` at `step`."""
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
            f"data is {type(data).__name__}, which is no contiguous run of bytes ({error}); "
            "pass bytes, array.array('B') or a contiguous array",
        ) from None
    needed = step * (rows - 1) + row_bytes
    if buffer.nbytes < needed:
        raise EncodingError(
            RejectReason.TRUNCATED,
            f"data holds {buffer.nbytes} bytes; {encoding} with {rows} rows of step {step} takes "
            f"{needed}; the message was cut, or height, step and encoding do not belong to it",
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
    """A read-only view on `buffer`; a copy where its bytes are swapped or badly aligned."""
    kind = np.dtype(dtype)
    shape, strides = (rows, width), (step, kind.itemsize * channels)
    if channels > 1:
        shape, strides = (*shape, channels), (*strides, kind.itemsize)
    stored = kind.newbyteorder(">" if is_bigendian else "<")
    pixels = np.ndarray(shape, stored, buffer=buffer, strides=strides)
    if stored.isnative and pixels.flags.aligned and step % kind.itemsize == 0:
        pixels.flags.writeable = False
        return pixels
    return pixels.astype(kind)


def _shown(value: object) -> str:
    """A hostile value in a log line: quoted, and never longer than a glance."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
