# SPDX-License-Identifier: Apache-2.0
"""The node's state as one record, and as `FusionStatus`.

`diagnostics.py` evaluates the same record, so that status and diagnostics agree.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from std_msgs.msg import Header

from fusion_ros.engines.engine import EngineDescription
from fusion_ros.nodes.fuse.reporting.recent_counts import RecentCounts
from fusion_ros.nodes.fuse.reporting.rejections import PAIR_REASONS
from fusion_ros.nodes.fuse.reporting.telemetry import TelemetrySnapshot
from fusion_ros.registration.alignment import Alignment
from fusion_ros.streams.clock_offset import ClockDistance
from fusion_ros.streams.content import Fault
from fusion_ros.streams.ledger import Fate, LedgerSnapshot, Stream, StreamCounts
from fusion_ros.thermal.zones import ZoneState

MODE_INACTIVE, MODE_IDLE, MODE_STALLED = "inactive", "idle", "stalled"
DEGRADED = {"visible_only": Stream.THERMAL, "thermal_only": Stream.VISIBLE}
"""Modes in which one camera's images are published alone, and the lost camera."""
STALLED_S = 4.0
"""Time without a fused pair, although pairs are found, that counts as stalled."""


def paired(counts: StreamCounts) -> int:
    """Return the number of frames in pairs, also in pairs that were not fused."""
    failed = sum(counts.rejected_by_reason.get(reason, 0) for reason in PAIR_REASONS)
    return counts.fused + counts.held + counts.superseded + failed


def usable(counts: StreamCounts) -> int:
    """Return the number of frames that were not rejected on arrival."""
    failed = sum(counts.rejected_by_reason.get(reason, 0) for reason in PAIR_REASONS)
    return counts.received - (counts.rejected - failed)


def stalled_s(newest: RecentCounts) -> float:
    """Return for how long pairs were found but none fused or rejected; 0 below `STALLED_S`."""
    new = newest.counts.visible
    # A pair that is not processed is superseded by the next one.
    idle = new.superseded > 0 and paired(new) == new.superseded
    return newest.seconds if idle and newest.seconds >= STALLED_S else 0.0


@dataclasses.dataclass(frozen=True)
class NodeReport:
    """State of the node at one instant.

    Attributes:
        header: stamp of the report and frame id of the last fused image.
        mode: one of the values `MODE_*` of `FusionStatus.msg`.
        counts: fates of all frames since `configure`.
        recent: counts of the last seconds.
        publishers: number of publishers of the right type on each input topic.
        wrong_types: other types published on an input topic, with the remedy.
        timeout_ms: silence after which a stream counts as lost.
        stalled_s: seconds for which pairs were found but none fused or rejected; 0 if none.
        rejections: newest message of each reason for which frames were rejected.
        thermal_offset_ms: offset in use.
        thermal_offset_hint_ms: offset estimated from the stamps, if any.
        clocks: distance of the cameras' clocks, if it is seconds or more.
        lost: cameras without new or without usable frames.
        faults: faults found in the pixels of a stream, each with a line of text.
        calibration_missing: missing parts of a live calibration, as text.
        thermal_repeated: thermal frames equal to the one before, since `configure`.
        thermal_shutter: thermal frames without content, since `configure`.
        engine_hung_s: seconds since the call of an engine that has not returned and has no
            replacement.
        unpublished: messages by topic that a newer one replaced before they were published.
        unpublished_before: `unpublished` of the previous report.
        blocked_s: seconds since the call of a publish that has not returned, by topic.
        zones: newest states of the zones of `zones_file`; empty before the first frame.
        zones_age_s: seconds since they were evaluated; None without zones.
    """

    header: Header
    mode: str
    engine: EngineDescription
    engine_is_fallback: bool
    counts: LedgerSnapshot
    recent: RecentCounts
    telemetry: TelemetrySnapshot
    stalled_s: float
    rejections: Mapping[tuple[Stream, str], str]
    thermal_offset_ms: float
    thermal_repeated: int
    thermal_shutter: int
    # Set by an active node only:
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
    blocked_s: Mapping[str, float] = dataclasses.field(default_factory=dict)
    faults: Mapping[Stream, Mapping[Fault, str]] = dataclasses.field(default_factory=dict)
    zones: tuple[ZoneState, ...] = ()
    zones_age_s: float | None = None

    @property
    def pairs(self) -> int:
        """Number of pairs in the last seconds, fused or not, without those of held frames."""
        return paired(self.recent.counts.thermal)


def fill_status(message: Any, report: NodeReport) -> Any:
    """Fill a `fusion_ros/msg/FusionStatus`, whose file describes the fields."""
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
    message.held_age_ms_p50 = telemetry.held_age_ms.p50
    message.held_age_ms_p95 = telemetry.held_age_ms.p95
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
