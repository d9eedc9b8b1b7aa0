# SPDX-License-Identifier: Apache-2.0
"""What the node says of itself: one record, told as `FusionStatus` and as diagnostics.

Both are made of the same `NodeReport`, so they cannot disagree.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from std_msgs.msg import Header

from fusion_ros.accounting import Fate, LedgerSnapshot, Stream, StreamCounts
from fusion_ros.engines.engine import EngineDescription
from fusion_ros.imaging.alignment import Alignment
from fusion_ros.nodes.telemetry import TelemetrySnapshot

MODE_INACTIVE, MODE_IDLE = "inactive", "idle"
_DEGRADED = {"visible_only": "thermal", "thermal_only": "visible"}

# Shares of the frames since the last report, above which somebody should look.
_WARN_LOST_SHARE = 0.2
_WARN_REJECTED_SHARE = 0.01
_CLEAR = 6.0
"""A shift less clear than this (`Alignment.clearness`) is not spoken of."""
_FEWEST_FRAMES = 10
"""Fewer frames than this since the last report say nothing about shares."""


@dataclasses.dataclass(frozen=True)
class NodeReport:
    """Everything that the node knows of itself at one instant.

    Attributes:
        header: stamp of the report and frame id of the last fused image.
        mode: one of the `MODE_*` words of `FusionStatus.msg`.
        engine: what runs.
        counts: where every frame went, since `configure`.
        before: the same at the previous report, to tell what is new.
        telemetry: the last seconds.
        topics: the input topics as remapped.
        publishers: how many publishers each input topic has.
        stream_timeout_ms: silence that counts as a lost stream.
        thermal_offset_ms: offset in use.
        thermal_offset_hint_ms: offset that the stamps suggest, where they do.
        alignment: how the edges of both pictures lie on each other, where it was looked at.
        alignment_warn_px: shift above which to warn.
        lost: cameras from which nothing new comes, or nothing that can be used.
        calibration_missing: what a live calibration waits for, in words.
        thermal_repeated, thermal_shutter: thermal frames that repeated the one before, or had no
            content, since `configure`.
        engine_is_fallback: whether another engine than the one asked for runs.
    """

    header: Header
    mode: str
    engine: EngineDescription
    engine_is_fallback: bool
    counts: LedgerSnapshot
    before: LedgerSnapshot
    telemetry: TelemetrySnapshot
    stream_timeout_ms: float
    thermal_offset_ms: float
    thermal_repeated: int
    thermal_shutter: int
    # What only an active node knows:
    topics: Mapping[Stream, str] = dataclasses.field(default_factory=dict)
    publishers: Mapping[Stream, int] = dataclasses.field(default_factory=dict)
    thermal_offset_hint_ms: float | None = None
    alignment: Alignment | None = None
    alignment_warn_px: float = math.inf
    lost: frozenset[Stream] = frozenset()
    calibration_missing: str = ""


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


def diagnostics(name: str, report: NodeReport) -> DiagnosticArray:
    """Three lines for a robot's dashboard: do the cameras arrive, do they pair, is it quick."""
    array = DiagnosticArray()
    array.header.stamp = report.header.stamp
    array.status = [
        _streams(f"{name}: streams", report),
        _pairing(f"{name}: pairing", report),
        _fusion(f"{name}: fusion", report),
    ]
    for status in array.status:
        status.hardware_id = report.engine.device
    return array


def _streams(name: str, report: NodeReport) -> DiagnosticStatus:
    values, silent, rejected = [], [], []
    for stream in Stream:
        topic = report.topics.get(stream, stream.value)
        silent_ms = report.telemetry.silent_for_ms[stream]
        if stream in report.lost:
            publishers = report.publishers.get(stream, 0)
            frozen = silent_ms <= report.stream_timeout_ms
            how = "frozen or blind" if frozen else f"silent for {silent_ms / 1e3:.1f} s"
            if frozen and stream is Stream.THERMAL and report.calibration_missing:
                how = f"is not calibrated: waiting for {report.calibration_missing}"
            silent.append(f"{topic} {how} ({publishers} publishers)")
        new = _new(report, stream)
        if new.received >= _FEWEST_FRAMES and new.rejected > _WARN_REJECTED_SHARE * new.received:
            rejected.append(f"{topic}: {new.rejected} of {new.received} new frames rejected")
        values += [
            (f"{stream.value} topic", topic),
            (f"{stream.value} rate [Hz]", f"{report.telemetry.stream_hz[stream]:.2f}"),
        ]
        values += _totals(stream, getattr(report.counts, stream.value))
    values += [
        ("thermal frames repeated", str(report.thermal_repeated)),
        ("thermal frames of a closed shutter", str(report.thermal_shutter)),
    ]
    if report.mode in (MODE_INACTIVE, MODE_IDLE):
        return _status(name, DiagnosticStatus.OK, f"{report.mode}: frames are not taken", values)
    if silent:
        return _status(name, DiagnosticStatus.ERROR, "; ".join(silent), values)
    if rejected:
        return _status(name, DiagnosticStatus.WARN, "; ".join(rejected), values)
    return _status(name, DiagnosticStatus.OK, "both streams arrive", values)


def _pairing(name: str, report: NodeReport) -> DiagnosticStatus:
    skew = report.telemetry.skew_ms
    values = [
        ("|skew| p50 [ms]", f"{skew.p50:.2f}"),
        ("|skew| p95 [ms]", f"{skew.p95:.2f}"),
        ("signed skew p50 [ms]", f"{report.telemetry.signed_skew_ms_p50:.2f}"),
        ("thermal_offset_ms in use", f"{report.thermal_offset_ms:.2f}"),
        ("clock jumps", str(report.telemetry.clock_jumps)),
    ]
    if report.alignment is not None:
        seen = report.alignment
        values += [
            ("alignment score", f"{seen.score:.2f}"),
            ("thermal shift [pixels]", f"{seen.shift_x_px:+.1f}, {seen.shift_y_px:+.1f}"),
        ]
    hint = ""
    if report.thermal_offset_hint_ms is not None:
        values.append(("thermal_offset_ms suggested", f"{report.thermal_offset_hint_ms:.1f}"))
        hint = f" (the stamps suggest thermal_offset_ms {report.thermal_offset_hint_ms:.1f})"
    # The slower stream is the one whose every frame could find a partner.
    new = min((_new(report, stream) for stream in Stream), key=lambda counts: counts.received)
    lost = new.unpaired + new.late
    if new.received >= _FEWEST_FRAMES and lost > _WARN_LOST_SHARE * new.received:
        return _status(
            name,
            DiagnosticStatus.WARN,
            f"{lost} of {new.received} new frames of the slower stream found no partner; look at "
            f"both cameras' stamps, thermal_offset_ms and pairing_tolerance_ms{hint}",
            values,
        )
    knock = _knocked(report)
    if knock:
        return _status(name, DiagnosticStatus.WARN, knock, values)
    return _status(name, DiagnosticStatus.OK, "frames find their partners", values)


def _knocked(report: NodeReport) -> str:
    """A line about cameras that no longer look the same way, or nothing."""
    seen = report.alignment
    if seen is None or seen.clearness < _CLEAR or seen.shift_px <= report.alignment_warn_px:
        return ""
    return (
        f"the thermal picture lies {seen.shift_x_px:+.0f}, {seen.shift_y_px:+.0f} pixels off; were "
        "the cameras knocked? Calibrate again with `fusion-ros calibrate`"
    )


def _fusion(name: str, report: NodeReport) -> DiagnosticStatus:
    engine, telemetry = report.engine, report.telemetry
    values = [
        ("mode", report.mode),
        ("engine", f"{engine.name} on {engine.device}, {engine.precision}"),
        ("preset", engine.preset),
        ("weights sha256", engine.weights_sha256),
        *engine.detail.items(),
        ("fused rate [Hz]", f"{telemetry.fused_hz:.2f}"),
        ("latency p50 [ms]", f"{telemetry.latency_ms.p50:.2f}"),
        ("latency p95 [ms]", f"{telemetry.latency_ms.p95:.2f}"),
    ]
    values += [(f"{stage} p50 [ms]", f"{p.p50:.2f}") for stage, p in telemetry.stages_ms.items()]
    values += [
        (f"{stream.value} frames published alone", str(telemetry.passed_alone[stream]))
        for stream in Stream
    ]
    new = _new(report, Stream.VISIBLE)
    errors = _new_reason(report, "engine_error")
    if errors:
        return _status(
            name, DiagnosticStatus.ERROR, f"the engine failed on {errors} new pairs", values
        )
    if report.mode in _DEGRADED:
        lost = _DEGRADED[report.mode]
        why = "lost"
        if lost == "thermal" and report.calibration_missing:
            why = "not calibrated yet"
        text = f"degraded: the {lost} camera is {why}, the other one's picture is published alone"
        return _status(name, DiagnosticStatus.WARN, text, values)
    if report.engine_is_fallback:
        text = f"the engine asked for failed; {engine.name} on {engine.device} runs in its place"
        return _status(name, DiagnosticStatus.WARN, text, values)
    paired = new.fused + new.superseded
    if paired >= _FEWEST_FRAMES and new.superseded > _WARN_LOST_SHARE * paired:
        return _status(
            name,
            DiagnosticStatus.WARN,
            f"overloaded: {new.superseded} of {paired} new pairs were superseded; use smaller "
            "frames, a lower rate, a faster engine, or accept the lower output rate",
            values,
        )
    return _status(name, DiagnosticStatus.OK, report.mode, values)


def _new(report: NodeReport, stream: Stream) -> StreamCounts:
    """The counts of a stream since the previous report."""
    now, before = (getattr(s, stream.value) for s in (report.counts, report.before))
    names = ("received", *(fate.value for fate in Fate))
    return StreamCounts(**{name: getattr(now, name) - getattr(before, name) for name in names})


def _new_reason(report: NodeReport, reason: str) -> int:
    now, before = report.counts.visible, report.before.visible
    return now.rejected_by_reason.get(reason, 0) - before.rejected_by_reason.get(reason, 0)


def _totals(stream: Stream, counts: StreamCounts) -> Iterable[tuple[str, str]]:
    for fate in ("received", *(f.value for f in Fate), "pending"):
        yield f"{stream.value} {fate}", str(getattr(counts, fate))
    for reason, number in sorted(counts.rejected_by_reason.items()):
        yield f"{stream.value} rejected: {reason}", str(number)


def _status(
    name: str, level: bytes, message: str, values: Iterable[tuple[str, str]]
) -> DiagnosticStatus:
    return DiagnosticStatus(
        name=name,
        level=level,
        message=message,
        values=[KeyValue(key=key, value=value) for key, value in values],
    )
