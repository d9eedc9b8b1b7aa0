# SPDX-License-Identifier: Apache-2.0
"""From the bytes of a message to a frame that can be paired, or to a rejection that says why."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fusion_ros.accounting import Stream
from fusion_ros.imaging.encodings import EncodingError, PixelFrame
from fusion_ros.nodes.books import Books
from fusion_ros.nodes.codec import decode_image
from fusion_ros.nodes.jobs import ArrivedFrame
from fusion_ros.nodes.repeated_header import RepeatedHeader
from fusion_ros.nodes.stamps import StampError, StampReader
from fusion_ros.nodes.wire import WireCompressedImage, WireError, WireHeader, WireImage
from fusion_ros.parameters import FuseParameters
from fusion_ros.stream_watch import FrameFormat
from fusion_ros.streams.outside_text import printable
from fusion_ros.streams.repeated_events import RepeatedEvents

Parser = Callable[[bytes], WireImage | WireCompressedImage]
_NOT_8_BIT = (
    "encoding is %s; a visible frame is 8-bit grey or colour. Are the two cameras' topics swapped?"
)
_SHUTTER = (
    "the picture has no content: the thermal camera's shutter is closed, or its lens is covered "
    "(parameter detect_shutter)"
)


class FrameReader:
    """Reads the messages of both cameras, and tells where one changed its format.

    Args:
        values: the node's parameters.
        books: where rejected frames are counted, and each stream is watched.
        ros_clock_ns: the node's ROS clock, for frames that are stamped by arrival.
        tell: logs what changed and need not be wrong.
    """

    def __init__(
        self,
        values: FuseParameters,
        books: Books,
        *,
        ros_clock_ns: Callable[[], int],
        tell: RepeatedEvents,
    ) -> None:
        self.detect_shutter = values.detect_shutter
        self._books = books
        self._tell = tell
        self._known: dict[Stream, RepeatedHeader] = {}
        self._stamps = {
            stream: StampReader(values.stamp_source, clock_ns=ros_clock_ns, warn=books.warn)
            for stream in Stream
        }

    def read(
        self, stream: Stream, topic: str, serialized: bytes, parse: Parser, arrived_ns: int
    ) -> ArrivedFrame | None:
        """The message as a frame, or None where it was rejected (and counted).

        Args:
            stream: which camera it is from.
            topic: its topic, for people.
            serialized: the message as the middleware delivers it.
            parse: reads messages of the topic's type.
            arrived_ns: when it came, by the monotonic clock.
        """
        reject = self._books.rejections.frame
        try:
            header, encoding, pixels = self._understood(stream, serialized, parse)
            stamp_ns = self._stamps[stream].read(topic, header)
        except WireError as error:
            return reject(stream, topic, "malformed", str(error))
        except EncodingError as error:
            return reject(stream, topic, error.reason.value, str(error))
        except StampError as error:
            return reject(stream, topic, error.reason, str(error))
        if stream is Stream.VISIBLE and pixels.pixels.dtype != np.uint8:
            return reject(stream, topic, "not_8_bit", _NOT_8_BIT % printable(encoding))
        watch = self._books.watches[stream]
        height, width = pixels.pixels.shape[:2]
        change = watch.format_change(FrameFormat(width, height, encoding))
        if change is not None:
            self._tell(("format", stream), f"{topic} changed from {change[0]} to {change[1]}")
        has_content = watch.look(pixels.pixels, arrived_ns)
        if not has_content and self.detect_shutter:
            return reject(stream, topic, "shutter", _SHUTTER)
        return ArrivedFrame(pixels, header.frame_id, stamp_ns, arrived_ns)

    def _understood(
        self, stream: Stream, serialized: bytes, parse: Parser
    ) -> tuple[WireHeader, str, PixelFrame]:
        known = self._known.get(stream)
        found = known.read(serialized) if known is not None else None
        if found is not None:
            return found[0], known.encoding, found[1]
        self._known.pop(stream, None)
        message = parse(serialized)
        pixels = decode_image(message)
        if isinstance(message, WireCompressedImage):
            return message.header, message.format, pixels
        known = RepeatedHeader.of(serialized, message, pixels)
        if known is not None:
            self._known[stream] = known
        return message.header, message.encoding, pixels
