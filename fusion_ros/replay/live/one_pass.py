# SPDX-License-Identifier: Apache-2.0
"""Record of one pass: frames sent, fused images returned, and the counts of the node."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from fusion_ros.parameters import FuseParameters
from fusion_ros.replay.findings.evidence import Finding, Severity
from fusion_ros.replay.live.rate_search import KEPT_UP, MOST_LOSS
from fusion_ros.replay.live.time_line import PlayedFrame, TimeLine
from fusion_ros.streams.flow_options import FlowOptions
from fusion_ros.streams.ledger import Fate, FrameLedger, Stream
from fusion_ros.streams.pairer import FramePairer
from fusion_ros.streams.series import describe_series

NODE_COUNTS = ("received", *(fate.value for fate in Fate), "pending")
Counts = Mapping[str, Mapping[str, int]]
"""By stream, then by `NODE_COUNTS`; totals since the node started."""


@dataclasses.dataclass(frozen=True)
class FusedImage:
    """A fused image that was received.

    Attributes:
        at_s: due time of its visible frame, in seconds from the start of the pass.
        age_ms: from the stamp of the visible frame to the publishing of the fused image.
        way_ms: from the publishing of the visible frame to that of the fused image.
    """

    at_s: float
    age_ms: float
    way_ms: float


class OnePass:
    """Collects events while frames are played; `figures` evaluates them.

    The parameters of the fuse node determine the possible pairs.
    """

    def __init__(self, time_line: TimeLine, values: FuseParameters) -> None:
        self.images: list[FusedImage] = []
        self._line = time_line
        self._by_arrival = values.stamp_source == "arrival"
        self._sent = dict.fromkeys(Stream, 0)
        self._visible: dict[int, tuple[int, int]] = {}
        self._lag_ms: list[float] = []
        self._first_ns = self._last_ns = self._last_due_ns = time_line.begin_ns
        self._returned = 0
        self._pairs = 0
        self._pairer: FramePairer[None] = FramePairer.of(FlowOptions.of(values), FrameLedger())

    def sent(self, frame: PlayedFrame, stamp_ns: int, sent_ns: int) -> None:
        """Record a published frame, with its stamp and its time by the wall clock."""
        due_ns = self._line.due_ns(frame)
        self._sent[frame.stream] += 1
        self._lag_ms.append((sent_ns - due_ns) / 1e6)
        self._last_ns, self._last_due_ns = sent_ns, due_ns
        if len(self._lag_ms) == 1:
            self._first_ns = sent_ns
        if frame.stream is Stream.VISIBLE and not self._by_arrival:
            self._visible[stamp_ns] = (due_ns, sent_ns)
        counted_ns = due_ns if self._by_arrival else stamp_ns
        if counted_ns > 0:
            self._pairs += len(self._pairer.add(frame.stream, counted_ns, None))

    def returned(self, stamp_ns: int, published_ns: int) -> None:
        """Record a fused image, with its stamp and the time of its publishing."""
        self._returned += 1
        # By arrival, the stamp is the arrival, and the visible frame is unknown.
        unknown = (stamp_ns, stamp_ns) if self._by_arrival else None
        if times := self._visible.get(stamp_ns, unknown):
            due_ns, sent_ns = times
            at_s = (due_ns - self._line.begin_ns) / 1e9
            age_ms, way_ms = (published_ns - stamp_ns) / 1e6, (published_ns - sent_ns) / 1e6
            self.images.append(FusedImage(at_s, age_ms, way_ms))

    @property
    def total_sent(self) -> Mapping[Stream, int]:
        """Number of frames published so far, by stream."""
        return self._sent

    def figures(self, before: Counts, after: Counts, visible_hz: float) -> PassFigures:
        """Return the figures, given the totals of the node before and after the pass."""
        counts = {
            stream.value: {
                name: after[stream.value][name] - before[stream.value][name] for name in NODE_COUNTS
            }
            for stream in Stream
        }
        pairs = self._pairs + len(self._pairer.flush())
        visible = counts[Stream.VISIBLE.value]
        fused = visible["fused"] + visible["held"]
        planned_ns = self._last_due_ns - self._line.begin_ns
        took_ns = max(1, self._last_ns - self._first_ns)
        pace = min(1.0, planned_ns / took_ns) if planned_ns > 0 else 1.0
        return PassFigures(
            rate=self._line.rate,
            achieved_rate=self._line.rate * pace,
            asked_hz=self._line.rate * visible_hz,
            seconds=took_ns / 1e9,
            sent={stream.value: n for stream, n in self._sent.items()},
            counts=counts,
            lost_on_the_wire={s.value: self._sent[s] - counts[s.value]["received"] for s in Stream},
            pairs_possible=pairs,
            fused=fused,
            fused_returned=self._returned,
            loss=max(0.0, 1.0 - fused / pairs) if pairs else 1.0,
            age_ms=describe_series([image.age_ms for image in self.images]),
            way_ms=describe_series([image.way_ms for image in self.images]),
            player_lag_ms=describe_series(self._lag_ms),
        )


@dataclasses.dataclass(frozen=True)
class PassFigures:
    """Figures of one pass.

    Attributes:
        rate, achieved_rate: multiples of the recorded rate: requested, and reached by the player.
        asked_hz: visible frames per second at `rate`.
        seconds: from the first to the last frame.
        sent: published frames by stream.
        counts: counts of the node by stream and fate; see `adds_up`.
        lost_on_the_wire: frames sent but not received by the node, by stream.
        pairs_possible: pairs that the pairer makes of these stamps if no frame is lost.
        fused: pairs fused, by the count of the node.
        fused_returned: fused images received here.
        loss: share of the possible pairs that were not fused.
        age_ms, way_ms: see `FusedImage`.
        player_lag_ms: delay of the publishing after the due time.
    """

    rate: float
    achieved_rate: float
    asked_hz: float
    seconds: float
    sent: dict[str, int]
    counts: dict[str, dict[str, int]]
    lost_on_the_wire: dict[str, int]
    pairs_possible: int
    fused: int
    fused_returned: int
    loss: float
    age_ms: dict[str, float | None]
    way_ms: dict[str, float | None]
    player_lag_ms: dict[str, float | None]

    @property
    def adds_up(self) -> bool:
        """Whether each frame that the node received has exactly one fate."""
        return all(
            c["received"] == sum(c[fate.value] for fate in Fate) + c["pending"]
            for c in self.counts.values()
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the figures for JSON."""
        return {**dataclasses.asdict(self), "adds_up": self.adds_up}


def findings_of(figures: PassFigures) -> Iterator[Finding]:
    """Find the faults of a pass."""
    if not figures.adds_up:
        yield Finding(
            "counts_do_not_add_up",
            Severity.ERROR,
            "The counts of the fuse node do not add up",
            "The number of received frames differs from the sum of fates and pending frames.",
            "This is a fault of the fuse node: report it with live.json.",
        )
    if lost := sum(max(0, n) for n in figures.lost_on_the_wire.values()):
        yield Finding(
            "lost_on_the_wire",
            Severity.WARNING,
            f"{lost} frames did not reach the fuse node",
            "They were published, but the node did not count them as received.",
            "Use the shipped DDS profile (config/fastdds_shm.xml) and a larger input_queue_size; "
            "check whether the machine is overloaded.",
        )
    if figures.loss >= MOST_LOSS:
        superseded = figures.counts[Stream.VISIBLE.value]["superseded"]
        yield Finding(
            "frames_lost",
            Severity.ERROR,
            f"{figures.loss:.1%} of the pairs were not fused",
            f"{figures.pairs_possible - figures.fused} of {figures.pairs_possible} pairs; "
            f"{superseded} were superseded by a newer pair.",
            "Use smaller frames, a lower rate or a faster engine, or accept the lower output rate.",
        )
    if figures.achieved_rate < KEPT_UP * figures.rate:
        yield Finding(
            "player_behind",
            Severity.WARNING,
            "The player was too slow for the requested rate",
            f"Requested: {figures.rate:g} times the recorded rate; reached: "
            f"{figures.achieved_rate:.2f}. Ages include the delay of the player.",
            "Play at a lower --rate, or on a machine with more cores.",
        )
