# SPDX-License-Identifier: Apache-2.0
"""Image messages of one camera differ in stamp and pixels: the rest is understood once.

The first frame of a moment comes when the processor has forgotten all that has to do with frames;
parsing and checking its message then takes 0.1 ms, comparing it with the one before a tenth of it.
"""

from __future__ import annotations

import dataclasses
import struct

import numpy as np

from fusion_ros.imaging.encodings import ChannelOrder, PixelFrame
from fusion_ros.nodes.wire import WireHeader, WireImage

_STAMP = slice(4, 12)
"""Seconds and nanoseconds, right behind the four bytes that tell the byte order."""


@dataclasses.dataclass(frozen=True)
class RepeatedHeader:
    """What a message was found to be, for messages that are the same but for stamp and pixels."""

    frame_id: str
    encoding: str
    _length: int
    _parts: tuple[tuple[slice, bytes], ...]
    _stamp: struct.Struct
    _order: ChannelOrder
    _dtype: np.dtype
    _shape: tuple[int, ...]
    _strides: tuple[int, ...]
    _begin: int

    @classmethod
    def of(cls, serialized: bytes, message: WireImage, frame: PixelFrame) -> RepeatedHeader | None:
        """From a message that was read; None where its pixels are not a view on its bytes."""
        pixels = frame.pixels
        begin = _address(pixels) - _address(np.frombuffer(serialized, np.uint8))
        if not _STAMP.stop <= begin < len(serialized):
            return None
        order = "<" if serialized[1] & 1 else ">"
        return cls(
            frame_id=message.header.frame_id,
            encoding=message.encoding,
            _length=len(serialized),
            _parts=tuple((part, serialized[part]) for part in _parts(serialized, order, begin)),
            _stamp=struct.Struct(order + "iI"),
            _order=frame.order,
            _dtype=pixels.dtype,
            _shape=pixels.shape,
            _strides=pixels.strides,
            _begin=begin,
        )

    def read(self, serialized: bytes) -> tuple[WireHeader, PixelFrame] | None:
        """Header and pixels (a view) of a message; None where it has to be looked at anew."""
        if len(serialized) != self._length:
            return None
        for part, content in self._parts:
            if serialized[part] != content:
                return None
        header = WireHeader(*self._stamp.unpack_from(serialized, _STAMP.start), self.frame_id)
        pixels = np.ndarray(self._shape, self._dtype, serialized, self._begin, self._strides)
        return header, PixelFrame(pixels, self._order)


def _parts(serialized: bytes, order: str, begin: int) -> tuple[slice, ...]:
    """All before the pixels but the stamp, and but the gaps between fields: they hold anything."""

    def string_end(at: int) -> int:
        return at + 4 + struct.unpack_from(order + "I", serialized, at)[0]

    frame_id = slice(_STAMP.stop, string_end(_STAMP.stop))
    height = -(-frame_id.stop // 4) * 4
    size_and_encoding = slice(height, string_end(height + 8) + 1)  # and is_bigendian
    step_and_length = slice(-(-size_and_encoding.stop // 4) * 4, begin)
    return slice(0, _STAMP.start), frame_id, size_and_encoding, step_and_length


def _address(pixels: np.ndarray) -> int:
    return int(pixels.__array_interface__["data"][0])
