# SPDX-License-Identifier: Apache-2.0
"""The books of one pass: what was sent, what came back and when, what the node counted."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from fusion_ros.parameters import FuseParameters
from fusion_ros.replay.live.rate_search import KEPT_UP, MOST_LOSS
from fusion_ros.replay.live.time_line import PlayedFrame, TimeLine
from fusion_ros.streams.ledger import Fate, FrameLedger, Stream
from fusion_ros.streams.pairer import FramePairer
from fusion_ros.streams.series import describe_series

NODE_COUNTS = ("received", *(fate.value for fate in Fate), "pending")
Counts = Mapping[str, Mapping[str, int]]
"""By stream, then by `NODE_COUNTS`; totals since the node started."""


@dataclasses.dataclass(frozen=True)
class FusedPicture:
    """One fused picture that came back.

    Attributes:
        at_s: when its visible frame was due, in seconds from the pass's beginning.
        age_ms: from the visible frame's stamp to the fuse node's publishing.
        way_ms: from our publishing of the visible frame to the fuse node's publishing.
    """

    at_s: float
    age_ms: float
    way_ms: float


class OnePass:
    """Filled while the frames are played; `figures` when the node has settled.

    Args:
        time_line: see there.
        values: the fuse node's parameters; they say which frames could be paired.
    """

    def __init__(self, time_line: TimeLine, values: FuseParameters) -> None:
        self.pictures: list[FusedPicture] = []
        self._line = time_line
        self._by_arrival = values.stamp_source == "arrival"
        self._sent = dict.fromkeys(Stream, 0)
        self._visible: dict[int, tuple[int, int]] = {}
        self._lag_ms: list[float] = []
        self._first_ns = self._last_ns = self._last_due_ns = time_line.begin_ns
        self._returned = 0
        self._pairs = 0
        self._pairer: FramePairer[None, None] = FramePairer(
            tolerance_ns=round(values.pairing_tolerance_ms * 1e6),
            thermal_offset_ns=round(values.thermal_offset_ms * 1e6),
            queue_size=values.pairing_queue_size,
            ledger=FrameLedger(),
        )

    def sent(self, frame: PlayedFrame, stamp_ns: int, sent_ns: int) -> None:
        """A frame was published, with this stamp, at this time of the wall clock."""
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
            visible = frame.stream is Stream.VISIBLE
            add = self._pairer.add_visible if visible else self._pairer.add_thermal
            self._pairs += len(add(counted_ns, None))

    def returned(self, stamp_ns: int, published_ns: int) -> None:
        """A fused picture came: its stamp, and when the fuse node published it."""
        self._returned += 1
        if self._by_arrival:  # then the node stamps with the arrival, and there is no way to tell
            age_ms = (published_ns - stamp_ns) / 1e6
            at_s = (stamp_ns - self._line.begin_ns) / 1e9
            self.pictures.append(FusedPicture(at_s, age_ms, age_ms))
        elif stamp_ns in self._visible:
            due_ns, sent_ns = self._visible[stamp_ns]
            at_s = (due_ns - self._line.begin_ns) / 1e9
            age_ms, way_ms = (published_ns - stamp_ns) / 1e6, (published_ns - sent_ns) / 1e6
            self.pictures.append(FusedPicture(at_s, age_ms, way_ms))

    @property
    def total_sent(self) -> Mapping[Stream, int]:
        """Frames published so far."""
        return self._sent

    def figures(self, before: Counts, after: Counts, visible_hz: float) -> PassFigures:
        """The pass in figures, given the node's totals before and after it."""
        counts = {
            stream.value: {
                name: after[stream.value][name] - before[stream.value][name] for name in NODE_COUNTS
            }
            for stream in Stream
        }
        pairs = self._pairs + len(self._pairer.flush())
        fused = counts[Stream.VISIBLE.value]["fused"]
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
            age_ms=describe_series([p.age_ms for p in self.pictures]),
            way_ms=describe_series([p.way_ms for p in self.pictures]),
            player_lag_ms=describe_series(self._lag_ms),
        )


@dataclasses.dataclass(frozen=True)
class PassFigures:
    """One pass; a `Trial` of the rate search.

    Attributes:
        rate, achieved_rate: multiples of the recording's own; asked, and what the player managed.
        asked_hz: visible frames a second at `rate`.
        seconds: from the first to the last frame.
        sent: frames published, by stream.
        counts: what the node counted of them, by stream and fate; they add up (`adds_up`).
        lost_on_the_wire: frames sent that the node never saw, by stream.
        pairs_possible: pairs that the node's pairer makes of these stamps when nothing is lost.
        fused, fused_returned: pairs fused by the node's count; fused pictures that came back to us.
        loss: share of the possible pairs that were not fused: lost on the wire, superseded,
            unpaired, late or rejected.
        age_ms: see `FusedPicture`; of the pictures that came back.
        way_ms: the same from our publishing on.
        player_lag_ms: how much later than due frames were published.
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
        """Whether every frame that the node received in this pass is in one count."""
        return all(
            c["received"] == sum(c[fate.value] for fate in Fate) + c["pending"]
            for c in self.counts.values()
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**dataclasses.asdict(self), "adds_up": self.adds_up}


def findings_of(figures: PassFigures) -> list[dict[str, str]]:
    """What is wrong in a pass, as the report's findings: code, severity, title, detail, fix."""
    found = []

    def add(code: str, severity: str, title: str, detail: str, fix: str) -> None:
        found.append(
            {"code": code, "severity": severity, "title": title, "detail": detail, "fix": fix}
        )

    if not figures.adds_up:
        add("counts_do_not_add_up", "error", "The node's counts do not add up",
            "Received frames are not the sum of the fates and what is pending.",
            "A fault of the fuse node: report it with live.json.")  # fmt: skip
    wire = sum(max(0, n) for n in figures.lost_on_the_wire.values())
    if wire:
        add("lost_on_the_wire", "warning", f"{wire} frames never reached the fuse node",
            "They were published and are in none of its counts.",
            "Use the shipped DDS profile (config/fastdds_shm.xml) and a larger "
            "input_queue_size; see whether the machine is overloaded.")  # fmt: skip
    superseded = figures.counts[Stream.VISIBLE.value]["superseded"]
    if figures.loss >= MOST_LOSS:
        add("frames_lost", "error", f"{figures.loss:.1%} of the pairs were not fused",
            f"{figures.pairs_possible - figures.fused} of {figures.pairs_possible} pairs; "
            f"{superseded} of them superseded by a newer pair.",
            "Use smaller frames, a lower rate, a faster engine, or accept the lower output "
            "rate.")  # fmt: skip
    if figures.achieved_rate < KEPT_UP * figures.rate:
        add("player_behind", "warning", "The player could not keep the recording's time",
            f"Asked for {figures.rate:g} times the recorded rate, it managed "
            f"{figures.achieved_rate:.2f}: ages hold the player's own delay.",
            "Play at a lower --rate, or on a machine with more cores.")  # fmt: skip
    return found
