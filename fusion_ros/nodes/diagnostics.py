# SPDX-License-Identifier: Apache-2.0
"""What the node knows of itself, as `/diagnostics`: levels that mean something, and the remedy."""

from __future__ import annotations

from collections.abc import Iterable

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from fusion_ros.accounting import Fate, Stream, StreamCounts
from fusion_ros.nodes.report import MODE_IDLE, MODE_INACTIVE, NodeReport

_DEGRADED = {"visible_only": "thermal", "thermal_only": "visible"}

# Shares of the frames since the last report, above which somebody should look.
_WARN_LOST_SHARE = 0.2
_WARN_REJECTED_SHARE = 0.01
_CLEAR = 6.0
"""A shift less clear than this (`Alignment.clearness`) is not spoken of."""
_FEWEST_FRAMES = 10
"""Fewer frames than this since the last report say nothing about shares."""


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
