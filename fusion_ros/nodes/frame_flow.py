# SPDX-License-Identifier: Apache-2.0
"""The way of a frame through the node: message, pixels, pair, fused image.

Two threads meet here. The executor's calls `take`: it reads the message as a view, pairs it, and
leaves the newest pair in the worker's one waiting place. The worker fuses and publishes. Every
frame that `take` was given ends in exactly one count of the ledger.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import numpy as np
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from fusion_ros.accounting import Fate, FrameLedger, Stream
from fusion_ros.engines.engine import EngineError
from fusion_ros.imaging.encodings import EncodingError, PixelFrame
from fusion_ros.nodes.codec import decode_image, encode_image
from fusion_ros.nodes.parameters import FuseParameters
from fusion_ros.nodes.rejections import RejectionLog
from fusion_ros.nodes.telemetry import Telemetry
from fusion_ros.nodes.worker import NewestWorker
from fusion_ros.pairing import FramePairer, Pair
from fusion_ros.pipeline import FusionPipeline

NS_PER_MS = 1_000_000
_NOT_8_BIT = (
    "encoding is %s; a visible frame is 8-bit grey or colour. Are the two cameras' topics swapped?"
)


@dataclasses.dataclass(frozen=True)
class ArrivedFrame:
    """A frame as it came in: pixels that look into the message's bytes, and when it got here."""

    pixels: PixelFrame
    header: Header
    arrived_ns: int


FramePair = Pair[ArrivedFrame, ArrivedFrame]


@dataclasses.dataclass(frozen=True)
class Books:
    """What the node counts and measures, from `configure` to `cleanup`."""

    ledger: FrameLedger
    telemetry: Telemetry
    rejections: RejectionLog


class FrameFlow:
    """Pairs and fuses what `take` is given, from `start` to `stop`.

    Args:
        pipeline: fuses; used by the worker's thread only while the flow runs.
        values: the node's parameters; `apply` takes changed ones.
        books: where frames are counted.
        publish: takes each fused image, in the worker's thread.
        clock_ns: the monotonic clock that `books.telemetry` runs on.
    """

    def __init__(
        self,
        pipeline: FusionPipeline,
        values: FuseParameters,
        books: Books,
        publish: Callable[[Image], None],
        *,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._pipeline = pipeline
        self._values = values
        self._books = books
        self._publish = publish
        self._clock_ns = clock_ns
        self._pairer: FramePairer[ArrivedFrame, ArrivedFrame] = FramePairer(
            tolerance_ns=round(values.pairing_tolerance_ms * NS_PER_MS),
            thermal_offset_ns=round(values.thermal_offset_ms * NS_PER_MS),
            queue_size=values.pairing_queue_size,
            ledger=books.ledger,
        )
        self._worker: NewestWorker[FramePair] = NewestWorker(
            self._fuse, self._supersede, name="fusion"
        )
        self._stopping = False

    @property
    def clock_jumps(self) -> int:
        """Jumps back in time of the stamps so far."""
        return self._pairer.jumps

    def start(self) -> None:
        """Begin to fuse."""
        self._worker.start()

    def stop(self) -> None:
        """Finish the pair in work; what waits for a partner ends unpaired, what waits for the
        worker superseded."""
        self._stopping = True
        self._pairer.reset()
        self._worker.stop()

    def apply(self, values: FuseParameters) -> None:
        """Live parameters changed; they hold from the next frame on."""
        self._values = values
        self._pairer.tolerance_ns = round(values.pairing_tolerance_ms * NS_PER_MS)
        self._pairer.thermal_offset_ns = round(values.thermal_offset_ms * NS_PER_MS)

    def take(self, stream: Stream, topic: str, message: Image) -> None:
        """A message came in on a topic."""
        arrived_ns = self._clock_ns()
        self._books.telemetry.arrived(stream, arrived_ns)
        try:
            pixels = decode_image(message)
        except EncodingError as error:
            self._books.rejections.frame(stream, topic, error.reason.value, str(error))
            return
        if stream is Stream.VISIBLE and pixels.pixels.dtype != np.uint8:
            self._books.rejections.frame(stream, topic, "not_8_bit", _NOT_8_BIT % message.encoding)
            return
        frame = ArrivedFrame(pixels, message.header, arrived_ns)
        stamp_ns = message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
        if stream is Stream.VISIBLE:
            pairs = self._pairer.add_visible(stamp_ns, frame)
        else:
            pairs = self._pairer.add_thermal(stamp_ns, frame)
        for pair in pairs:
            self._worker.submit(pair)

    def _supersede(self, pair: FramePair) -> None:
        self._books.ledger.settle_pair(Fate.SUPERSEDED)

    def _fuse(self, pair: FramePair) -> None:
        """Runs in the worker; whatever goes wrong costs this pair and nothing else."""
        try:
            self._fuse_and_publish(pair)
        except EngineError as error:
            self._books.rejections.pair("engine_error", str(error))
        except ValueError as error:
            self._books.rejections.pair("unusable_pair", str(error))
        except Exception as error:
            if self._stopping:  # the middleware is being shut down under a publish
                self._books.ledger.settle_pair(Fate.SUPERSEDED)
                return
            self._books.rejections.pair("internal_error", f"{type(error).__name__}: {error}")

    def _fuse_and_publish(self, pair: FramePair) -> None:
        visible, thermal = pair.visible, pair.thermal
        arrived_ns = max(visible.arrived_ns, thermal.arrived_ns)
        begun_ns = self._clock_ns()
        fused = self._pipeline.fuse(
            visible.pixels.pixels,
            thermal.pixels.pixels,
            order=visible.pixels.order,
            stamp_ns=pair.thermal_stamp_ns,
        )
        fused_ns = self._clock_ns()
        image = encode_image(fused.image, fused.order, self._values.output_encoding, visible.header)
        encoded_ns = self._clock_ns()
        # Counted before it is sent: whoever sees the image may ask for the counts at once.
        self._publish(image)
        published_ns = self._clock_ns()
        self._books.ledger.settle_pair(Fate.FUSED)
        self._books.telemetry.fused(
            skew_ms=pair.skew_ns / NS_PER_MS,
            latency_ms=(published_ns - arrived_ns) / NS_PER_MS,
            stages_ms={
                "wait": (begun_ns - arrived_ns) / NS_PER_MS,
                **fused.timings_ms,
                "encode": (encoded_ns - fused_ns) / NS_PER_MS,
                "publish": (published_ns - encoded_ns) / NS_PER_MS,
            },
        )
