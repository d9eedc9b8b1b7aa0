# SPDX-License-Identifier: Apache-2.0
"""Checks of a message or a file frame: the result is a checked frame or a rejection with a remedy.

The fuse node and the replay pass every frame through here, so each check exists once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from fusion_ros.imaging.encodings import EncodingError, PixelFrame
from fusion_ros.outside_text import printable
from fusion_ros.streams.content import ContentWatch, Fault, FaultChange
from fusion_ros.streams.flow_options import FlowOptions
from fusion_ros.streams.freeze import FreezeDetector
from fusion_ros.streams.ledger import Stream
from fusion_ros.streams.stamps import NS_PER_S
from fusion_ros.streams.stream_health import FrameFormat, StreamWatch


class IncomingFrame(NamedTuple):
    """A frame before any check.

    Attributes:
        sec, nanosec: stamp of its header, unchecked.
        frame_id: that of its header.
        encoding: as its header declares ("rgb8", "jpeg", ...).
        read: decodes the pixels; raises `EncodingError` where they do not fit their header.
        source: any object of the caller; `CheckedFrame.source` returns it.
    """

    sec: int
    nanosec: int
    frame_id: str
    encoding: str
    read: Callable[[], PixelFrame]
    source: Any = None


class CheckedFrame(NamedTuple):
    """A frame that can be paired.

    Attributes:
        pixels: may be a view of the message's bytes.
        stamp_ns: time of exposure.
        arrived_ns: time of arrival, by the caller's clock.
        source: `IncomingFrame.source`.
    """

    pixels: PixelFrame
    frame_id: str
    stamp_ns: int
    arrived_ns: int
    encoding: str = ""
    source: Any = None


class Rejection(NamedTuple):
    """A frame that cannot be used: `reason` is the code of a counter, `message` has the remedy."""

    reason: str
    message: str


class Observation(NamedTuple):
    """Observations of one frame.

    Attributes:
        pixels: None where decoding failed.
        format_change: old and new format, if they differ.
        repeated: whether all pixels equal those of the frame before.
        has_content: False for a closed shutter.
    """

    pixels: PixelFrame | None = None
    format_change: tuple[FrameFormat, FrameFormat] | None = None
    repeated: bool = False
    has_content: bool = True


_NO_CLOCK = Rejection(
    "no_clock",
    "stamp_source is 'arrival' and use_sim_time is set, but nothing has come on /clock yet: start "
    "the simulation, or play the recording with --clock",
)
_ZERO_STAMP = Rejection(
    "zero_stamp",
    "header.stamp is zero: the driver does not fill it in. Set parameter stamp_source to "
    "'arrival' to pair frames by their time of arrival",
)
_SHUTTER = Rejection(
    "shutter",
    "the frame has no content: the thermal camera's shutter is closed, or its lens is covered "
    "(parameter detect_shutter)",
)


class Intake:
    """Checks the frames of both streams.

    Args:
        options: may be replaced.
        watches: health of both streams, updated here.
        clock_ns: clock for stamps by arrival: the node's ROS clock, or the recorded time.
    """

    def __init__(
        self,
        options: FlowOptions,
        watches: Mapping[Stream, StreamWatch],
        *,
        clock_ns: Callable[[], int],
    ) -> None:
        self.options = options
        self.observation = Observation()
        """Observations of the newest frame."""
        self._watches = watches
        self._clock_ns = clock_ns
        self._contents = {stream: ContentWatch(stream) for stream in Stream}
        self._freeze = FreezeDetector(options.frozen_after_ms)
        self._due: dict[Stream, tuple[PixelFrame, str, int]] = {}
        """Frames that wait for `examine`, with encoding and arrival."""

    def faults(self, stream: Stream) -> frozenset[Fault]:
        """Return the faults that a stream shows now."""
        return self._contents[stream].active

    def take(
        self, stream: Stream, frame: IncomingFrame, arrived_ns: int
    ) -> CheckedFrame | Rejection:
        """Check a frame that arrived at `arrived_ns`, see `PairFlow.take`."""
        self.observation = Observation()
        try:
            pixels = frame.read()
        except EncodingError as error:
            return Rejection(error.reason.value, str(error))
        self.observation = Observation(pixels)
        stamp_ns = self._stamp_ns(frame)
        if isinstance(stamp_ns, Rejection):
            return stamp_ns
        if stream is Stream.VISIBLE and pixels.pixels.dtype != np.uint8:
            return Rejection(
                "not_8_bit",
                f"encoding is {printable(frame.encoding)}; a visible frame is 8-bit grey or "
                "colour. Are the two cameras' topics swapped?",
            )
        self._observe(stream, pixels, frame.encoding, arrived_ns)
        if not self.observation.has_content and self.options.detect_shutter:
            return _SHUTTER
        if stream is Stream.THERMAL and self._watches[stream].frozen:
            return Rejection("frozen", self._frozen_text())
        return CheckedFrame(
            pixels, frame.frame_id, stamp_ns, arrived_ns, frame.encoding, frame.source
        )

    def examine(self, now_ns: int, *, waited_ns: int = 0) -> list[tuple[Stream, FaultChange]]:
        """Examine the content of some frames, four each second and stream; return new faults.

        To be called after `take`, when nothing waits for the frame: it takes up to 0.3 ms. Frames
        younger than `waited_ns` wait for a later call.
        """
        found = []
        for stream, (frame, encoding, arrived_ns) in list(self._due.items()):
            if now_ns - arrived_ns < waited_ns:
                continue
            del self._due[stream]
            changes = self._contents[stream].examine(frame, encoding, arrived_ns)
            found += [(stream, change) for change in changes]
            if stream is Stream.VISIBLE:
                self._freeze.examine_visible(frame.pixels, arrived_ns)
            else:
                self._freeze.examine_thermal()
        return found

    def _stamp_ns(self, frame: IncomingFrame) -> int | Rejection:
        """Return the time of a frame: its header's stamp, or its arrival (`stamp_source`)."""
        if self.options.stamp_source == "arrival":
            now_ns = self._clock_ns()
            return now_ns if now_ns else _NO_CLOCK
        if frame.sec == 0 and frame.nanosec == 0:
            return _ZERO_STAMP
        if frame.sec < 0 or frame.nanosec >= NS_PER_S:
            return Rejection(
                "bad_stamp",
                f"header.stamp is {frame.sec} s and {frame.nanosec} ns; allowed are 0 s and more, "
                "and 0 to 999999999 ns",
            )
        return frame.sec * NS_PER_S + frame.nanosec

    def _observe(self, stream: Stream, frame: PixelFrame, encoding: str, arrived_ns: int) -> None:
        watch, pixels = self._watches[stream], frame.pixels
        height, width = pixels.shape[:2]
        change = watch.format_change(FrameFormat(width, height, encoding))
        if change is not None and stream is Stream.THERMAL:
            self._freeze.restart()
        if stream not in self._due and self._contents[stream].is_due(arrived_ns):
            self._due[stream] = (frame, encoding, arrived_ns)
        repeated_before = watch.repeated
        has_content = watch.examine(pixels, arrived_ns)
        repeated = watch.repeated > repeated_before
        if stream is Stream.THERMAL and has_content:
            self._freeze.after_ms = self.options.frozen_after_ms
            watch.frozen = self._freeze.add_thermal(pixels, arrived_ns, repeated=repeated)
        self.observation = Observation(frame, change, repeated, has_content)

    def _frozen_text(self) -> str:
        why = (
            "although this camera's images have noise"
            if self._freeze.has_noise
            else "while the visible view changed as a whole"
        )
        return (
            f"the image has not changed in a single bit for over "
            f"{self.options.frozen_after_ms:g} ms, {why}: restart the camera, or set parameter "
            "frozen_after_ms (0: never) for a simulated camera without noise"
        )
