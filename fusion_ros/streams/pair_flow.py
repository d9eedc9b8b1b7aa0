# SPDX-License-Identifier: Apache-2.0
"""The state machine from frames to pairs; the fuse node and the replay both run it.

`PairFlow.take` checks a frame and decides about it. The frame is rejected, waits for a partner,
completes a pair, or passes alone while the other camera is lost. The ledger counts every frame
here. The caller settles the frames of returned pairs and frames that pass alone.

There are no threads here and no clock: the caller gives the arrival times.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from fusion_ros.streams.clock_offset import OffsetEstimator
from fusion_ros.streams.content import Fault, FaultChange
from fusion_ros.streams.flow_options import FlowOptions
from fusion_ros.streams.intake import CheckedFrame, IncomingFrame, Intake, Observation, Rejection
from fusion_ros.streams.ledger import Fate, FrameLedger, Stream
from fusion_ros.streams.loss_policy import OTHER, StreamLoss
from fusion_ros.streams.pairer import FramePairer, Pair
from fusion_ros.streams.stream_health import StreamWatch

FramePair = Pair[CheckedFrame]

_NOT_CALIBRATED = Rejection(
    "not_calibrated",
    "no calibration has arrived yet, so the thermal frame cannot be registered; /diagnostics "
    "lists what is missing (parameter registration_source)",
)
_EXAMINED_AFTER_NS = 500_000_000
"""A frame is examined this long after its arrival, where nothing is paired."""


class Pairer(Protocol):
    """The interface of `FramePairer`, for other pairing policies."""

    tolerance_ns: int
    thermal_offset_ns: int
    settled: Fate | None

    @property
    def jumps(self) -> int:
        """Jumps back in time so far."""

    def add(self, stream: Stream, stamp_ns: int, frame: CheckedFrame) -> list[FramePair]:
        """Add a frame and return the completed pairs."""

    def flush(self) -> list[FramePair]:
        """Decide all waiting frames and return the pairs."""

    def reset(self) -> None:
        """Settle all waiting frames as unpaired."""


@dataclass(frozen=True)
class LoneFrame:
    """A frame that passes alone because the other camera is lost.

    Attributes:
        visible_shape: height and width of the newest visible frame, None before the first. A
            thermal image is published on this grid, so that the size of the output stays.
        visible_frame_id: `frame_id` of the newest visible frame, for the same reason.
    """

    stream: Stream
    frame: CheckedFrame
    visible_shape: tuple[int, int] | None
    visible_frame_id: str

    @property
    def frame_id(self) -> str:
        """The `frame_id` of the published image."""
        return self.frame.frame_id if self.visible_shape is None else self.visible_frame_id


class Decision(NamedTuple):
    """The result of one frame.

    Attributes:
        checked: the frame, or the reason why it was rejected.
        seen: observations of the intake.
        settled: the fate of the frame, where it is final (rejected, late, duplicate).
        pairs: pairs that this frame completed, oldest first.
        alone: the frame, where it passes alone.
        jumped_back: whether the stamps jumped back in time with this frame.
        is_back: whether its camera was lost and the other one's frames passed alone until now.
        alone_began: whether `alone` is the first one since its partner camera was lost.
        alone_ended: whether `pairs` are the first ones after frames passed alone.
    """

    checked: CheckedFrame | Rejection
    seen: Observation
    settled: Fate | None = None
    pairs: tuple[FramePair, ...] = ()
    alone: LoneFrame | None = None
    jumped_back: bool = False
    is_back: bool = False
    alone_began: bool = False
    alone_ended: bool = False


class PairFlow:
    """Pairs the frames of two streams.

    Args:
        watches: health of both streams; restarted here.
        stamp_clock_ns: clock for `stamp_source` "arrival": the node's ROS clock or recorded time.
        is_registered: whether thermal frames can be registered (False before a live calibration).
        pairer: another pairing policy; None is `FramePairer`.
        started_ns: start of the flow, by the clock of the arrival times. None: the first arrival.
    """

    def __init__(
        self,
        options: FlowOptions,
        ledger: FrameLedger,
        watches: Mapping[Stream, StreamWatch],
        *,
        stamp_clock_ns: Callable[[], int],
        is_registered: Callable[[], bool] = lambda: True,
        pairer: Pairer | None = None,
        started_ns: int | None = None,
    ) -> None:
        self._ledger = ledger
        self._is_registered = is_registered
        self._intake = Intake(options, watches, clock_ns=stamp_clock_ns)
        self._pairer: Pairer = pairer or FramePairer.of(options, ledger)
        self.loss = StreamLoss(
            options, watches, is_registered=is_registered, started_ns=started_ns or 0
        )
        """Which camera is lost, and whose frames pass alone."""
        self.offsets = OffsetEstimator()
        """Estimates the constant offset of the thermal stamps."""
        self._is_started = started_ns is not None
        self._options = options
        self._visible_shape: tuple[int, int] | None = None
        self._visible_frame_id = ""
        self._jumps = 0
        self._handed_over = False

    @property
    def options(self) -> FlowOptions:
        """May be set at any time, except `queue_size` and `stamp_source`."""
        return self._options

    @options.setter
    def options(self, options: FlowOptions) -> None:
        restarts = options.thermal_offset_ns != self._options.thermal_offset_ns
        self._options = self._intake.options = self.loss.options = options
        self._pairer.tolerance_ns = options.tolerance_ns
        if restarts or not options.follows_offset:
            self._pairer.thermal_offset_ns = options.thermal_offset_ns
        if isinstance(self._pairer, FramePairer):  # other policies hold no thermal frame
            self._pairer.hold_ns = options.hold_ns

    @property
    def jumps(self) -> int:
        """Jumps back in time so far."""
        return self._pairer.jumps

    @property
    def thermal_offset_ns(self) -> int:
        """Offset in use: that of the options, or what became of it by following the stamps."""
        return self._pairer.thermal_offset_ns

    def follow_offset(self) -> None:
        """Move the offset in use by a bounded step, if the options say so; once a second."""
        if self._options.follows_offset:
            self._pairer.thermal_offset_ns += self.offsets.step_ns(self.thermal_offset_ns)

    def faults(self, stream: Stream) -> frozenset[Fault]:
        """Return the faults that the pixels of a stream show now."""
        return self._intake.faults(stream)

    def take(
        self, stream: Stream, incoming: IncomingFrame | Rejection, arrived_ns: int
    ) -> Decision:
        """Decide about a frame, or about the reason why its message cannot be read.

        `arrived_ns` is its arrival, by a monotonic clock or by that of a recording.
        """
        if not self._is_started:
            self._is_started = True
            self.loss.restart(arrived_ns)
        was_lost = self.loss.is_lost(stream, arrived_ns)
        if was_lost:
            self.loss.note_return(stream, arrived_ns)
        decision = self._decide(stream, incoming, arrived_ns, was_lost)
        if decision.settled is Fate.REJECTED:
            assert isinstance(decision.checked, Rejection)
            self._ledger.receive(stream)
            self._ledger.settle(stream, Fate.REJECTED, decision.checked.reason)
        self._handed_over = bool(decision.pairs) or decision.alone is not None
        return decision

    def examine(self, now_ns: int) -> list[tuple[Stream, FaultChange]]:
        """Examine the content of some frames and return new faults; see `Intake.examine`.

        To be called after each `take`. It takes up to 0.3 ms, so it runs while the last frame's
        pair is fused, or half a second later where nothing is paired.
        """
        return self._intake.examine(
            now_ns, waited_ns=0 if self._handed_over else _EXAMINED_AFTER_NS
        )

    def flush(self) -> list[FramePair]:
        """Decide all waiting frames (end of a recording) and return the pairs."""
        return self._pairer.flush()

    def reset(self) -> None:
        """Settle all waiting frames as unpaired."""
        self._pairer.reset()

    def _decide(
        self,
        stream: Stream,
        incoming: IncomingFrame | Rejection,
        arrived_ns: int,
        was_lost: bool,
    ) -> Decision:
        if isinstance(incoming, Rejection):
            return Decision(incoming, Observation(), Fate.REJECTED)
        frame = self._intake.take(stream, incoming, arrived_ns)
        seen = self._intake.observation
        if isinstance(frame, Rejection):
            return Decision(frame, seen, Fate.REJECTED)
        if stream is Stream.VISIBLE:
            height, width = frame.pixels.pixels.shape[:2]
            self._visible_shape, self._visible_frame_id = (height, width), frame.frame_id
        self.offsets.observe(stream, frame.stamp_ns, arrived_ns)
        if stream is Stream.THERMAL and not self._is_registered():
            return Decision(_NOT_CALIBRATED, seen, Fate.REJECTED)
        is_back = (
            was_lost
            and self.loss.alone is OTHER[stream]
            and not self.loss.is_lost(stream, arrived_ns)
        )
        if self.loss.passes_alone(stream, arrived_ns):
            decision = self._pass_alone(stream, frame, seen)
        else:
            decision = self._pair(stream, frame, seen)
        return decision._replace(is_back=True) if is_back else decision

    def _pass_alone(self, stream: Stream, frame: CheckedFrame, seen: Observation) -> Decision:
        began = self.loss.alone is not stream
        if began:
            self.loss.alone = stream
            self._pairer.reset()
        self._ledger.receive(stream)
        lone = LoneFrame(stream, frame, self._visible_shape, self._visible_frame_id)
        return Decision(frame, seen, alone=lone, alone_began=began)

    def _pair(self, stream: Stream, frame: CheckedFrame, seen: Observation) -> Decision:
        pairs = tuple(self._pairer.add(stream, frame.stamp_ns, frame))
        jumped, self._jumps = self._pairer.jumps > self._jumps, self._pairer.jumps
        ended = bool(pairs) and self.loss.note_pair()
        settled = self._pairer.settled
        return Decision(frame, seen, settled, pairs, jumped_back=jumped, alone_ended=ended)
