# SPDX-License-Identifier: Apache-2.0
"""One record of the node's state, as `FusionStatus` and as a line for the log.

`diagnostics.py` shows the same record, so that the two cannot disagree.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from std_msgs.msg import Header

from fusion_ros.engines.engine import EngineDescription
from fusion_ros.nodes.fuse.reporting.rejections import PAIR_REASONS
from fusion_ros.nodes.fuse.reporting.telemetry import TelemetrySnapshot
from fusion_ros.registration.alignment import Alignment
from fusion_ros.streams.clock_offset import ClockDistance
from fusion_ros.streams.content import Fault
from fusion_ros.streams.ledger import Fate, LedgerSnapshot, Stream, StreamCounts
from fusion_ros.streams.recent_counts import RecentCounts

MODE_INACTIVE, MODE_IDLE, MODE_STALLED = "inactive", "idle", "stalled"
DEGRADED = {"visible_only": Stream.THERMAL, "thermal_only": Stream.VISIBLE}
"""Modes in which one camera's pictures are published alone, and the camera that is lost."""
STALLED_S = 4.0
"""Pairs without a fused one for so long are a stalled fusion."""


def paired(counts: StreamCounts) -> int:
    """Frames that found a partner, whatever became of the pair."""
    failed = sum(counts.rejected_by_reason.get(reason, 0) for reason in PAIR_REASONS)
    return counts.fused + counts.superseded + failed


def usable(counts: StreamCounts) -> int:
    """Frames that were not rejected as they came in."""
    failed = sum(counts.rejected_by_reason.get(reason, 0) for reason in PAIR_REASONS)
    return counts.received - (counts.rejected - failed)


@dataclasses.dataclass(frozen=True)
class NodeReport:
    """Everything that the node knows of itself at one instant.

    Attributes:
        header: stamp of the report and frame id of the last fused image.
        mode: one of the `MODE_*` words of `FusionStatus.msg`.
        engine: what runs.
        counts: where every frame went, since `configure`.
        before: the same at the previous report, for the debug line.
        recent: what was counted in the last seconds.
        newest: the same over the shorter time in which a stalled fusion shows.
        telemetry: the last seconds.
        topics: the input topics as remapped.
        publishers: how many publishers of the right type each input topic has.
        wrong_types: what is published under an input topic instead, and the remedy.
        timeout_ms: silence that counts as a lost stream.
        rejections: newest message of each reason for which frames were rejected.
        thermal_offset_ms: offset in use.
        thermal_offset_hint_ms: offset that the stamps suggest, where they do.
        clocks: how far apart the cameras' clocks are, where it is seconds.
        alignment: how the edges of both pictures lie on each other, where it was looked at.
        alignment_warn_px: shift above which to warn.
        lost: cameras from which nothing new comes, or nothing that can be used.
        faults: what the pixels of a stream show to be wrong, each with a line for people.
        calibration_missing: what a live calibration waits for, in words.
        thermal_repeated, thermal_shutter: thermal frames that repeated the one before, or had no
            content, since `configure`.
        engine_is_fallback: whether another engine than the one asked for runs.
        engine_hung_s: seconds since an engine was called that has not returned and that no other
            engine replaces.
        unpublished, unpublished_before: messages by topic that a newer one replaced before they
            could be published, now and at the previous report.
        held_up_s: how long a publish has taken that has not returned, by topic.
    """

    header: Header
    mode: str
    engine: EngineDescription
    engine_is_fallback: bool
    counts: LedgerSnapshot
    before: LedgerSnapshot
    recent: RecentCounts
    newest: RecentCounts
    telemetry: TelemetrySnapshot
    rejections: Mapping[tuple[Stream, str], str]
    thermal_offset_ms: float
    thermal_repeated: int
    thermal_shutter: int
    # What only an active node knows:
    topics: Mapping[Stream, str] = dataclasses.field(default_factory=dict)
    publishers: Mapping[Stream, int] = dataclasses.field(default_factory=dict)
    wrong_types: Mapping[Stream, str] = dataclasses.field(default_factory=dict)
    timeout_ms: Mapping[Stream, float] = dataclasses.field(default_factory=dict)
    thermal_offset_hint_ms: float | None = None
    clocks: ClockDistance | None = None
    alignment: Alignment | None = None
    alignment_warn_px: float = math.inf
    lost: frozenset[Stream] = frozenset()
    calibration_missing: str = ""
    engine_hung_s: float = 0.0
    unpublished: Mapping[str, int] = dataclasses.field(default_factory=dict)
    unpublished_before: Mapping[str, int] = dataclasses.field(default_factory=dict)
    held_up_s: Mapping[str, float] = dataclasses.field(default_factory=dict)
    faults: Mapping[Stream, Mapping[Fault, str]] = dataclasses.field(default_factory=dict)

    @property
    def pairs(self) -> int:
        """Pairs that were found in the last seconds, whatever became of them."""
        return paired(self.recent.counts.visible)

    @property
    def stalled_s(self) -> float:
        """For how long pairs have been found and none was fused or rejected; 0: not for long."""
        new = self.newest.counts.visible
        # A pair that nothing is done with is superseded by the next one.
        idle = new.superseded > 0 and paired(new) == new.superseded
        return self.newest.seconds if idle and self.newest.seconds >= STALLED_S else 0.0


def fill_status(message: Any, report: NodeReport) -> Any:
    """Fill a `fusion_ros/msg/FusionStatus`; see that file for what each field means."""
    telemetry, engine = report.telemetry, report.engine
    message.header = report.header
    message.mode = report.mode
    message.engine, message.device, message.precision = engine.name, engine.device, engine.precision
    message.preset, message.weights_sha256 = engine.preset, engine.weights_sha256
    message.window_s = telemetry.window_s
    for stream in Stream:
        counts = getattr(report.counts, stream.value)
        for fate in ("received", *(f.value for f in Fate), "pending"):
            setattr(message, f"{stream.value}_{fate}", getattr(counts, fate))
        reasons = sorted(counts.rejected_by_reason)
        setattr(message, f"{stream.value}_rejected_reasons", reasons)
        numbers = [counts.rejected_by_reason[reason] for reason in reasons]
        setattr(message, f"{stream.value}_rejected_counts", numbers)
        setattr(message, f"{stream.value}_hz", telemetry.stream_hz[stream])
    message.fused_hz = telemetry.fused_hz
    message.skew_ms_p50, message.skew_ms_p95 = telemetry.skew_ms.p50, telemetry.skew_ms.p95
    message.thermal_offset_ms = report.thermal_offset_ms
    hint_ms = report.thermal_offset_hint_ms
    message.thermal_offset_hint_ms = math.nan if hint_ms is None else hint_ms
    message.latency_ms_p50 = telemetry.latency_ms.p50
    message.latency_ms_p95 = telemetry.latency_ms.p95
    message.stage_names = list(telemetry.stages_ms)
    message.stage_ms_p50 = [stage.p50 for stage in telemetry.stages_ms.values()]
    message.stage_ms_p95 = [stage.p95 for stage in telemetry.stages_ms.values()]
    message.clock_jumps = telemetry.clock_jumps
    message.alignment_score = report.alignment.score if report.alignment else math.nan
    message.visible_passed_alone = telemetry.passed_alone[Stream.VISIBLE]
    message.thermal_passed_alone = telemetry.passed_alone[Stream.THERMAL]
    message.thermal_repeated = report.thermal_repeated
    message.thermal_shutter = report.thermal_shutter
    message.engine_is_fallback = report.engine_is_fallback
    return message


def debug_line(report: NodeReport) -> str:
    """What happened to the frames since the last report, and all about the newest fused image."""
    parts = []
    for stream in Stream:
        now, before = (getattr(c, stream.value) for c in (report.counts, report.before))
        fates = [(f.value, getattr(now, f.value) - getattr(before, f.value)) for f in Fate]
        told = ", ".join(f"{count} {fate}" for fate, count in fates if count) or "none settled"
        parts.append(
            f"{stream.value}: {now.received - before.received} in, {told}, {now.pending} pending"
        )
    newest = report.telemetry.newest
    if newest is not None:
        stages = ", ".join(f"{name} {ms:.2f}" for name, ms in newest.stages_ms.items())
        parts.append(
            f"last pair: stamp {newest.stamp_ns / 1e9:.6f} s, skew {newest.skew_ms:+.1f} ms, "
            f"{newest.latency_ms:.2f} ms from arrival to published ({stages})"
        )
    return "; ".join([f"{report.mode}", *parts])
