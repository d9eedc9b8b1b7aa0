# SPDX-License-Identifier: Apache-2.0
"""Replay of a recording: the node's `PairFlow` and pipeline, driven by recorded time.

Every pair is fused, none is superseded. Two replays of one recording with one engine give the same
images and figures, except times.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fusion_ros.calibration.plausibility import registration_doubts
from fusion_ros.engines.engine import EngineError
from fusion_ros.imaging.encodings import PixelFrame
from fusion_ros.imaging.pair_check import PairDoubt, input_doubts, result_doubts
from fusion_ros.pipeline import FusionPipeline
from fusion_ros.recordings.recording import RecordedFrame, Recording
from fusion_ros.replay.gallery import Moment
from fusion_ros.replay.log import FrameEntry, PairEntry, ReplayLog
from fusion_ros.replay.pair_meter import PairMeter, images_of
from fusion_ros.replay.quality import QualityBench
from fusion_ros.replay.settings import ReplaySettings
from fusion_ros.replay.stream_watcher import StreamWatcher
from fusion_ros.streams.content import is_implausible
from fusion_ros.streams.flow_options import FlowOptions
from fusion_ros.streams.intake import IncomingFrame, Rejection
from fusion_ros.streams.ledger import Fate, FrameLedger, LedgerSnapshot, Stream
from fusion_ros.streams.pair_flow import FramePair, LoneFrame, PairFlow
from fusion_ros.streams.stamps import NS_PER_MS, NS_PER_S

_OFFSET_EVERY_NS = 500_000_000
"""Time between two estimates of the constant offset."""


class FusedSink:
    """Base class of receivers of fused images: a bag, a video, a detector."""

    def prepare(self, pair: FramePair, pipeline: FusionPipeline) -> None:
        """Receive the frames of the pair whose images `take` receives next."""

    def take(
        self, entry: PairEntry, visible: np.ndarray, thermal: np.ndarray, fused: np.ndarray
    ) -> None:
        """Take a pair. Images are `uint8`, RGB or grey; `thermal` is the network's input."""

    def take_alone(self, lone: LoneFrame, image: np.ndarray) -> None:
        """Take an image that passes alone while the other camera is lost."""


@dataclass(frozen=True)
class ReplayResult:
    """Data of a replay for findings, summary and report.

    `complete` is False if the replay ended before the recording; `stopped` is True after Ctrl-C.
    """

    log: ReplayLog
    counts: LedgerSnapshot
    watchers: dict[Stream, StreamWatcher]
    moments: list[Moment]
    rejections: dict[str, str]
    jumps: int
    every: int
    fused_sha256: str
    calibration_doubts: tuple[str, ...]
    complete: bool
    stopped: bool
    wall_s: float


class Replay:
    """One replay of one recording, which is read to its end and not closed.

    The first pair warms the pipeline up; `sinks` receive the fused images.
    """

    def __init__(
        self,
        recording: Recording,
        pipeline: FusionPipeline,
        settings: ReplaySettings,
        sinks: Sequence[FusedSink] = (),
    ) -> None:
        self._recording = recording
        self._pipeline = pipeline
        self._settings = settings
        self._sinks = sinks
        self._ledger = FrameLedger()
        self._watchers = {
            stream: StreamWatcher(detect_flat=stream is Stream.THERMAL) for stream in Stream
        }
        self._now_ns = 0
        options: FlowOptions = settings
        if recording.identity.is_matched:
            # The frames were paired beforehand and carry equal stamps.
            options = dataclasses.replace(
                settings, tolerance_ns=0, thermal_offset_ns=0, hold_ns=0, on_stream_loss="hold"
            )
        self._flow = PairFlow(
            options,
            self._ledger,
            {stream: watcher.watch for stream, watcher in self._watchers.items()},
            stamp_clock_ns=lambda: self._now_ns,
        )
        self._log = ReplayLog()
        self._next_estimate_ns = 0
        self._rejections: dict[str, str] = {}
        self._every = settings.every(min(map(recording.identity.messages, Stream)))
        self._bench = QualityBench(
            settings.measures,
            settings.baselines,
            in_background=settings.measure_in_background
            and pipeline.engine.describe().name != "torch",
        )
        self._meter = PairMeter(self._every, self._bench, self._log)

    def run(self, progress: Callable[[int], object] = lambda messages: None) -> ReplayResult:
        """Replay to the end, or to Ctrl-C; `progress` receives the number of processed messages."""
        began = time.perf_counter()
        complete = stopped = False
        try:
            done = 0
            for frame in self._timed_frames():
                self._take(frame)
                done += 1
                progress(done)
                if done == self._settings.max_frames:
                    break
            self._fuse_all(self._flow.flush())
            complete = self._settings.max_frames is None or done < self._settings.max_frames
            self._bench.finish()
        except KeyboardInterrupt:
            stopped = True
            self._flow.reset()
        finally:
            self._bench.close()
        for entry in self._log.frames:
            # Frames that the pairer dropped without a decision, and those interrupted by Ctrl-C.
            entry.fate = entry.fate or Fate.UNPAIRED
        return ReplayResult(
            log=self._log,
            counts=self._ledger.snapshot(),
            watchers=self._watchers,
            moments=self._meter.moments,
            rejections=self._rejections,
            jumps=self._flow.jumps,
            every=self._every,
            fused_sha256=self._meter.fused_sha256,
            calibration_doubts=registration_doubts(self._pipeline.registration),
            complete=complete,
            stopped=stopped,
            wall_s=time.perf_counter() - began,
        )

    def _timed_frames(self) -> Iterator[RecordedFrame]:
        frames = self._recording.frames()
        while True:
            start = time.perf_counter()
            frame = next(frames, None)
            if frame is None:
                return
            self._log.time("read", (time.perf_counter() - start) * 1e3)
            yield frame

    def _take(self, recorded: RecordedFrame) -> None:
        """Process a frame in the order of the node's `FrameFlow.take`, by recorded time."""
        stream, arrived_ns = recorded.stream, recorded.arrived_ns
        self._now_ns = arrived_ns
        entry = FrameEntry(stream, recorded.index, arrived_ns, recorded.stamp_ns)
        self._log.frames.append(entry)
        with self._log.timed("pair"):
            decision = self._flow.take(stream, self._incoming(recorded, entry), arrived_ns)
        entry.fate, seen = decision.settled, decision.seen
        if seen.pixels is not None:
            self._watchers[stream].look(entry, seen, recorded.encoding)
        if isinstance(decision.checked, Rejection):
            entry.reason = decision.checked.reason
            self._rejections.setdefault(f"{stream.value}:{entry.reason}", decision.checked.message)
        else:
            entry.stamp_ns = decision.checked.stamp_ns
            self._estimate_offset(entry)
        if decision.jumped_back:
            self._pipeline.reset()
        self._fuse_all(decision.pairs)
        if decision.alone is not None:
            self._pass_alone(decision.alone)
        for at, change in self._flow.examine(arrived_ns):
            self._watchers[at].faults.append((recorded.index, change))

    def _incoming(self, recorded: RecordedFrame, entry: FrameEntry) -> IncomingFrame:
        def read() -> PixelFrame:
            with self._log.timed("decode"):
                return recorded.read()

        stamp = recorded.header_stamp or divmod(recorded.stamp_ns or 0, NS_PER_S)
        return IncomingFrame(*stamp, "", recorded.encoding, read, entry)

    def _estimate_offset(self, entry: FrameEntry) -> None:
        if entry.stream is Stream.THERMAL and entry.arrived_ns >= self._next_estimate_ns:
            self._next_estimate_ns = entry.arrived_ns + _OFFSET_EVERY_NS
            estimate_ns = self._flow.offsets.estimate_ns()
            if estimate_ns is not None:
                self._log.offsets_ms.append((entry.arrived_ns, estimate_ns / NS_PER_MS))

    def _pass_alone(self, lone: LoneFrame) -> None:
        frame, entry = lone.frame, lone.frame.source
        try:
            image = frame.pixels.as_rgb()
            if lone.stream is Stream.THERMAL:
                image = self._pipeline.thermal_alone(
                    frame.pixels.pixels,
                    lone.visible_shape,
                    thermal_order=frame.pixels.order,
                    stamp_ns=frame.stamp_ns,
                )
        except ValueError as error:
            self._reject((entry,), "unusable_pair", error)
            return
        self._ledger.settle(lone.stream, Fate.UNPAIRED)
        entry.fate, entry.passed_alone = Fate.UNPAIRED, True
        for sink in self._sinks:
            sink.take_alone(lone, image)

    def _reject(self, entries: tuple[FrameEntry, ...], reason: str, error: Exception) -> None:
        for entry in entries:
            self._ledger.settle(entry.stream, Fate.REJECTED, reason)
            entry.fate, entry.reason = Fate.REJECTED, reason
        self._rejections.setdefault(f"pair:{reason}", str(error))

    def _fuse_all(self, pairs: Sequence[FramePair]) -> None:
        for at, pair in enumerate(pairs):
            try:
                self._fuse(pair)
            except (EngineError, ValueError) as error:
                reason = "engine_error" if isinstance(error, EngineError) else "unusable_pair"
                self._reject(_settled_entries(pair), reason, error)
            except KeyboardInterrupt:
                # Pairs that are not fused must be settled as well.
                for left in pairs[at:]:
                    if left.visible.source.fate is None:
                        self._ledger.settle_pair(Fate.UNPAIRED, is_held=left.is_held)
                raise

    def _fuse(self, pair: FramePair) -> None:
        visible, thermal = pair.visible.pixels, pair.thermal.pixels
        entries: tuple[FrameEntry, FrameEntry] = (pair.visible.source, pair.thermal.source)
        with self._log.timed("fuse"):
            fused = self._pipeline.fuse(
                visible.pixels,
                thermal.pixels,
                order=visible.order,
                thermal_order=thermal.order,
                stamp_ns=pair.thermal_stamp_ns,
            )
        for stage, milliseconds in fused.timings_ms.items():
            self._log.time(f"fuse: {stage}", milliseconds)
        celsius = self._pipeline.tone.median_celsius(thermal.pixels)
        entry = PairEntry(
            index=len(self._log.pairs),
            visible_index=entries[0].index,
            thermal_index=entries[1].index,
            visible_stamp_ns=pair.visible_stamp_ns,
            skew_ms=pair.skew_ns / NS_PER_MS,
            is_held=pair.is_held,
            doubts=(
                *input_doubts(visible, thermal),
                *result_doubts(visible.pixels, fused.image),
                *([PairDoubt.TEMPERATURES] if is_implausible(celsius) else []),
            ),
        )
        jumped = any(entry.jump for entry in entries)
        images = self._meter.measure(entry, visible, fused, jumped=jumped)
        self._ledger.settle_pair(Fate.FUSED, is_held=pair.is_held)
        for frame in _settled_entries(pair):
            frame.fate, frame.pair = Fate.HELD if pair.is_held else Fate.FUSED, entry.index
        self._log.pairs.append(entry)
        if self._sinks:
            images = images or images_of(visible, fused)
            with self._log.timed("outputs"):
                for sink in self._sinks:
                    sink.prepare(pair, self._pipeline)
                    sink.take(entry, *images)


def _settled_entries(pair: FramePair) -> tuple[FrameEntry, ...]:
    """Return the frames whose fate is that of the pair; see `FrameLedger.settle_pair`."""
    visible, thermal = pair.visible.source, pair.thermal.source
    return (visible,) if pair.is_held else (visible, thermal)
