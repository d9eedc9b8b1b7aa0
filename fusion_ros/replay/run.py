# SPDX-License-Identifier: Apache-2.0
"""The replay itself: recorded order, recorded stamps, the node's pairer and pipeline.

Every pair that the pairer gives out is fused; nothing is superseded, because nothing is in a hurry.
Two replays of one recording with one engine give the same pictures and figures, but for times.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fusion_ros.calibration.plausibility import registration_doubts
from fusion_ros.engines.engine import EngineError
from fusion_ros.imaging.encodings import PixelFrame
from fusion_ros.imaging.pair_check import input_doubts, result_doubts
from fusion_ros.pipeline import FusionPipeline
from fusion_ros.recordings.recording import RecordedFrame, Recording
from fusion_ros.replay.gallery import Moment
from fusion_ros.replay.log import FrameEntry, PairEntry, ReplayLog
from fusion_ros.replay.measuring import PairMeter, pictures_of
from fusion_ros.replay.quality import QualityBench
from fusion_ros.replay.settings import ReplaySettings
from fusion_ros.replay.stream_watcher import StreamWatcher
from fusion_ros.streams.clock_offset import OffsetEstimator
from fusion_ros.streams.intake import IncomingFrame, Intake, IntakeOptions, Rejection
from fusion_ros.streams.ledger import Fate, FrameLedger, LedgerSnapshot, Stream
from fusion_ros.streams.pairer import FramePairer, Pair
from fusion_ros.streams.stamps import NS_PER_S

_MS = 1e6
_OFFSET_EVERY_NS = 500_000_000
"""Time between two estimates of the constant offset."""


class FusedSink(Protocol):
    """Takes each fused picture: a bag, a video, a detector."""

    def take(
        self, entry: PairEntry, visible: np.ndarray, thermal: np.ndarray, fused: np.ndarray
    ) -> None:
        """Pictures are `uint8`, RGB or grey; `thermal` is as the network saw it."""

    def close(self) -> None:
        """Called once, also after Ctrl-C."""


@dataclass
class _Held:
    """A frame on its way through the pairer."""

    entry: FrameEntry
    frame: PixelFrame


@dataclass(frozen=True)
class ReplayResult:
    """What a replay found; the report and the summary are made of it.

    `complete` is False where it did not come to the recording's end, `stopped` is True where that
    was by Ctrl-C.
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
    """One run over one recording.

    Args:
        recording: is read to its end, and not closed.
        pipeline: fuses; warmed up by the first pair.
        settings: see `ReplaySettings`.
        sinks: take the fused pictures as they come; closed by `run`.
    """

    def __init__(
        self,
        recording: Recording,
        pipeline: FusionPipeline,
        settings: ReplaySettings,
        sinks: tuple[FusedSink, ...] = (),
    ) -> None:
        self._recording = recording
        self._pipeline = pipeline
        self._settings = settings
        self._sinks = sinks
        self._ledger = FrameLedger()
        is_matched = recording.identity.is_matched
        self._pairer: FramePairer[_Held, _Held] = FramePairer(
            tolerance_ns=0 if is_matched else settings.tolerance_ns,
            thermal_offset_ns=0 if is_matched else settings.thermal_offset_ns,
            queue_size=settings.queue_size,
            ledger=self._ledger,
        )
        self._watchers = {
            stream: StreamWatcher(detect_flat=stream is Stream.THERMAL) for stream in Stream
        }
        self._now_ns = 0
        self._intake = Intake(
            IntakeOptions(settings.stamp_source, settings.detect_shutter, settings.frozen_after_ms),
            {stream: watcher.watch for stream, watcher in self._watchers.items()},
            clock_ns=lambda: self._now_ns,
        )
        self._log = ReplayLog()
        self._offsets = OffsetEstimator()
        self._next_estimate_ns = 0
        self._rejections: dict[str, str] = {}
        identity = recording.identity
        expected = min((identity.messages(stream) or 0) for stream in Stream)
        self._every = settings.every(expected)
        self._bench = QualityBench(
            settings.measures,
            settings.baselines,
            in_background=settings.measure_in_background
            and pipeline.engine.describe().name != "torch",
        )
        self._meter = PairMeter(self._every, self._bench, self._log)

    def run(self, progress: Callable[[int], object] = lambda messages: None) -> ReplayResult:
        """Replay to the end, or to Ctrl-C. `progress` is told how many messages are done."""
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
            self._fuse_all(self._pairer.flush())
            complete = self._settings.max_frames is None or done < self._settings.max_frames
            self._bench.finish()
        except KeyboardInterrupt:
            stopped = True
            self._pairer.reset()
        finally:
            self._bench.close()
            for sink in self._sinks:
                sink.close()
        for entry in self._log.frames:
            # Whatever the pairer settled without a word, and what a Ctrl-C left half done.
            entry.fate = entry.fate or Fate.UNPAIRED
        return ReplayResult(
            log=self._log,
            counts=self._ledger.snapshot(),
            watchers=self._watchers,
            moments=self._meter.moments,
            rejections=self._rejections,
            jumps=self._pairer.jumps,
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
        """Do what the node's `FrameFlow.take` does, by recorded time."""
        stream, self._now_ns = recorded.stream, recorded.arrived_ns
        entry = FrameEntry(stream, recorded.index, recorded.arrived_ns, recorded.stamp_ns)
        self._log.frames.append(entry)
        checked = self._intake.take(stream, self._incoming(recorded), recorded.arrived_ns)
        seen = self._intake.observation
        if seen.pixels is not None:
            look = self._watchers[stream].look(
                recorded.index, seen, recorded.encoding, recorded.arrived_ns
            )
            entry.mean, entry.motion = look.mean, look.motion
            entry.repeated, entry.jump = look.repeated, look.jump
        for at, change in self._intake.examine(recorded.arrived_ns):
            self._watchers[at].faults.append((recorded.index, change))
        if isinstance(checked, Rejection):
            return self._reject(entry, checked.reason, checked.message)
        entry.stamp_ns = checked.stamp_ns
        self._estimate_offset(entry, checked.stamp_ns)
        self._pair(_Held(entry, checked.pixels), checked.stamp_ns)
        return None

    def _incoming(self, recorded: RecordedFrame) -> IncomingFrame:
        def read() -> PixelFrame:
            with self._log.timed("decode"):
                return recorded.read()

        stamp = recorded.header_stamp or divmod(recorded.stamp_ns or 0, NS_PER_S)
        return IncomingFrame(*stamp, "", recorded.encoding, read)

    def _reject(self, entry: FrameEntry, reason: str, message: str) -> None:
        self._ledger.receive(entry.stream)
        self._ledger.settle(entry.stream, Fate.REJECTED, reason)
        entry.fate, entry.reason = Fate.REJECTED, reason
        self._rejections.setdefault(f"{entry.stream.value}:{reason}", message)

    def _estimate_offset(self, entry: FrameEntry, stamp_ns: int) -> None:
        self._offsets.observe(entry.stream, stamp_ns, entry.arrived_ns)
        if entry.stream is Stream.THERMAL and entry.arrived_ns >= self._next_estimate_ns:
            self._next_estimate_ns = entry.arrived_ns + _OFFSET_EVERY_NS
            estimate_ns = self._offsets.estimate_ns()
            if estimate_ns is not None:
                self._log.offsets_ms.append((entry.arrived_ns, estimate_ns / _MS))

    def _pair(self, held: _Held, stamp_ns: int) -> None:
        stream = held.entry.stream
        before = getattr(self._ledger.snapshot(), stream.value)
        with self._log.timed("pair"):
            add = self._pairer.add_visible if stream is Stream.VISIBLE else self._pairer.add_thermal
            pairs = add(stamp_ns, held)
        after = getattr(self._ledger.snapshot(), stream.value)
        # The pairer settles these two at once, so the frame that just came is the one.
        for fate in (Fate.DUPLICATE, Fate.LATE):
            if getattr(after, fate.value) > getattr(before, fate.value):
                held.entry.fate = fate
        self._fuse_all(pairs)

    def _fuse_all(self, pairs: list[Pair[_Held, _Held]]) -> None:
        for at, pair in enumerate(pairs):
            try:
                self._fuse(pair)
            except (EngineError, ValueError) as error:
                reason = "engine_error" if isinstance(error, EngineError) else "unusable_pair"
                self._ledger.settle_pair(Fate.REJECTED, reason)
                self._rejections.setdefault(f"pair:{reason}", str(error))
                for held in (pair.visible, pair.thermal):
                    held.entry.fate, held.entry.reason = Fate.REJECTED, reason
            except KeyboardInterrupt:
                # Given out, not fused: the books must close all the same.
                for left in pairs[at:]:
                    if left.visible.entry.fate is None:
                        self._ledger.settle_pair(Fate.UNPAIRED)
                raise

    def _fuse(self, pair: Pair[_Held, _Held]) -> None:
        visible = pair.visible.frame
        with self._log.timed("fuse"):
            fused = self._pipeline.fuse(
                visible.pixels,
                pair.thermal.frame.pixels,
                order=visible.order,
                thermal_order=pair.thermal.frame.order,
                stamp_ns=pair.thermal_stamp_ns,
            )
        for stage, milliseconds in fused.timings_ms.items():
            self._log.time(f"fuse: {stage}", milliseconds)
        entry = PairEntry(
            index=len(self._log.pairs),
            visible_index=pair.visible.entry.index,
            thermal_index=pair.thermal.entry.index,
            visible_stamp_ns=pair.visible_stamp_ns,
            skew_ms=pair.skew_ns / _MS,
            doubts=input_doubts(visible, pair.thermal.frame)
            + result_doubts(visible.pixels, fused.image),
        )
        jumped = bool(pair.thermal.entry.jump or pair.visible.entry.jump)
        pictures = self._meter.measure(entry, visible, fused, jumped=jumped)
        self._ledger.settle_pair(Fate.FUSED)
        for held in (pair.visible, pair.thermal):
            held.entry.fate, held.entry.pair = Fate.FUSED, entry.index
        self._log.pairs.append(entry)
        if self._sinks:
            pictures = pictures or pictures_of(visible, fused)
            with self._log.timed("outputs"):
                for sink in self._sinks:
                    sink.take(entry, *pictures)
