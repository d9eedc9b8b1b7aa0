# SPDX-License-Identifier: Apache-2.0
"""The node's report as `/diagnostics`: level, cause and remedy for streams, pairing and fusion.

All limits are shares of frames over a window of seconds (`NodeReport.recent`), so that they hold at
any rate from 1 to 120 Hz.
"""

from __future__ import annotations

from collections.abc import Iterable

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from fusion_ros.nodes.fuse.reporting.overload import cheaper_setting
from fusion_ros.nodes.fuse.reporting.rejections import PAIR_REASONS
from fusion_ros.nodes.fuse.reporting.report import (
    DEGRADED,
    MODE_IDLE,
    MODE_INACTIVE,
    MODE_STALLED,
    NodeReport,
    paired,
    usable,
)
from fusion_ros.outside_text import LINE_LIMIT, NAME_LIMIT, printable
from fusion_ros.streams.clock_offset import remedy
from fusion_ros.streams.ledger import Fate, Stream, StreamCounts
from fusion_ros.thermal.zones import ZoneLevel

_EVALUATED_AFTER_S = 3.0
"""Shortest window whose shares are evaluated; cameras start one after the other."""
_WARN_LOST_SHARE = 0.2
_WARN_REJECTED_SHARE = 0.01
_WARN_SHUTTER_SHARE = 0.2
"""Thermal cameras close their shutter for half a second from time to time."""
_MOSTLY = 0.5
_SEVERITY = (ZoneLevel.OK, ZoneLevel.UNSEEN, ZoneLevel.WARN, ZoneLevel.ERROR)
ZONES_STALE_S = 2.0
"""Time without an evaluation of the zones that is an error, where cameras are not slower."""
_CLEAR = 6.0
"""Least `Alignment.clearness` of a shift that is reported."""


def diagnostics(name: str, report: NodeReport) -> DiagnosticArray:
    """Return the entries of a node: streams, pairing, fusion, and zones where there are any."""
    array = DiagnosticArray()
    array.header.stamp = report.header.stamp
    name = name.lstrip("/")
    array.status = [
        _streams(f"{name}: streams", report),
        _pairing(f"{name}: pairing", report),
        _fusion(f"{name}: fusion", report),
        *([] if report.zones_age_s is None else [_zones(f"{name}: zones", report)]),
    ]
    for status in array.status:
        status.hardware_id = printable(f"{name} ({report.engine.device})")
    return array


def _streams(name: str, report: NodeReport) -> DiagnosticStatus:
    values, errors, warnings = [], [], []
    for stream in Stream:
        topic = printable(report.topics.get(stream, stream.value))
        if stream in report.lost:
            errors.append(f"{topic} {_why_lost(report, stream)}")
        elif rejected := _rejected(report, stream):
            warnings.append(f"{topic}: {rejected}")
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
    for stream, found in report.faults.items():
        for fault, text in found.items():
            (errors if fault.is_error else warnings).append(text)
            values.append((f"{stream.value} fault: {fault.value}", text))
    if errors:
        return _status(name, DiagnosticStatus.ERROR, "; ".join(errors + warnings), values)
    if warnings:
        return _status(name, DiagnosticStatus.WARN, "; ".join(warnings), values)
    return _status(name, DiagnosticStatus.OK, "both streams arrive", values)


def _why_lost(report: NodeReport, stream: Stream) -> str:
    """Return the cause of a loss, the most specific first: wrong type, silence, rejections."""
    silent_ms = report.telemetry.silent_for_ms[stream]
    number = report.publishers.get(stream, 0)
    publishers = f"{number} publisher{'' if number == 1 else 's'}"
    if silent_ms > report.timeout_ms.get(stream, 0.0):
        how = f"silent for {silent_ms / 1e3:.1f} s ({publishers})"
        wrong = report.wrong_types.get(stream)
        return f"{how}; {wrong}" if wrong else how
    if stream is Stream.THERMAL and report.calibration_missing:
        return f"is not calibrated: waiting for {printable(report.calibration_missing, 300)}"
    recent = getattr(report.recent.counts, stream.value)
    reasons = _camera_reasons(recent)
    # A camera that has just frozen has few rejected frames in the window.
    if "frozen" in reasons or sum(reasons.values()) > _MOSTLY * recent.received:
        return _rejection_text(report, stream, recent, reasons)
    return f"sends no usable frame ({publishers})"


def _rejected(report: NodeReport, stream: Stream) -> str:
    """Return a line about rejected frames of a stream that is not lost, or an empty text."""
    recent = getattr(report.recent.counts, stream.value)
    reasons = _camera_reasons(recent)
    limits = {"shutter": _WARN_SHUTTER_SHARE}
    if any(
        count > limits.get(reason, _WARN_REJECTED_SHARE) * recent.received
        for reason, count in reasons.items()
    ):
        return _rejection_text(report, stream, recent, reasons)
    return ""


def _rejection_text(
    report: NodeReport, stream: Stream, recent: StreamCounts, reasons: dict[str, int]
) -> str:
    most = max(reasons, key=lambda reason: reasons[reason])
    message = report.rejections.get((stream, most), "")
    return (
        f"{sum(reasons.values())} of {recent.received} frames of the last "
        f"{report.recent.seconds:.0f} s rejected ({most}): {printable(message, 400)}"
    )


def _camera_reasons(recent: StreamCounts) -> dict[str, int]:
    """Return the reasons of rejections on arrival, without those after pairing."""
    reasons = recent.rejected_by_reason.items()
    return {reason: count for reason, count in reasons if reason not in PAIR_REASONS}


def _pairing(name: str, report: NodeReport) -> DiagnosticStatus:
    skew = report.telemetry.skew_ms
    values = [
        ("|skew| p50 [ms]", f"{skew.p50:.2f}"),
        ("|skew| p95 [ms]", f"{skew.p95:.2f}"),
        ("signed skew p50 [ms]", f"{report.telemetry.signed_skew_ms_p50:.2f}"),
        ("held thermal frame, age p50 [ms]", f"{report.telemetry.held_age_ms.p50:.2f}"),
        ("held thermal frame, age p95 [ms]", f"{report.telemetry.held_age_ms.p95:.2f}"),
        ("thermal_offset_ms in use", f"{report.thermal_offset_ms:.2f}"),
        ("clock jumps", str(report.telemetry.clock_jumps)),
    ]
    if report.alignment is not None:
        seen = report.alignment
        values += [
            ("alignment score", f"{seen.score:.2f}"),
            ("thermal shift [pixels]", f"{seen.shift_x_px:+.1f}, {seen.shift_y_px:+.1f}"),
        ]
    if report.thermal_offset_hint_ms is not None:
        values.append(("thermal_offset_ms suggested", f"{report.thermal_offset_hint_ms:.1f}"))
    if report.mode in (MODE_INACTIVE, MODE_IDLE):
        return _status(name, DiagnosticStatus.OK, f"{report.mode}: frames are not taken", values)
    clocks = report.clocks
    if clocks is not None:
        text = f"{clocks}; set {clocks.remedy}, or correct the camera's clock"
        return _status(name, _without_pairs(report), text, values)
    recent, seconds = report.recent.counts, report.recent.seconds
    # Only the slower stream could find a partner for every frame.
    slower = min((getattr(recent, stream.value) for stream in Stream), key=usable)
    # Frames that wait for a partner have no fate yet; at 1 Hz they wait for seconds.
    if not report.pairs and _both_flow_s(report) >= _EVALUATED_AFTER_S:
        text = (
            f"no pair among the frames of the last {seconds:.0f} s ({usable(recent.visible)} "
            f"visible, {usable(recent.thermal)} thermal); {_pairing_remedy(report)}"
        )
        return _status(name, DiagnosticStatus.ERROR, text, values)
    alone = slower.unpaired + slower.late
    decided = alone + paired(slower)
    if seconds >= _EVALUATED_AFTER_S and alone > _WARN_LOST_SHARE * decided and not report.lost:
        text = (
            f"{alone} of {decided} frames of the slower stream found no partner in the last "
            f"{seconds:.0f} s; {_pairing_remedy(report)}"
        )
        return _status(name, DiagnosticStatus.WARN, text, values)
    if shifted := _shifted(report):
        return _status(name, DiagnosticStatus.WARN, shifted, values)
    text = "frames are paired" if report.pairs else "no pair yet"
    return _status(name, DiagnosticStatus.OK, text, values)


def _both_flow_s(report: NodeReport) -> float:
    """Return for how long usable frames of both streams have arrived, within the window."""
    return min(
        usable(getattr(report.recent.counts, stream.value)) / hz if hz > 0 else 0.0
        for stream, hz in report.telemetry.stream_hz.items()
    )


def _without_pairs(report: NodeReport) -> bytes:
    """Return the level of a clock fault: an error if there are no pairs."""
    return DiagnosticStatus.WARN if report.pairs else DiagnosticStatus.ERROR


def _pairing_remedy(report: NodeReport) -> str:
    hint = report.thermal_offset_hint_ms
    if hint is not None and abs(hint - report.thermal_offset_ms) > 1.0:
        return f"set {remedy(hint)}, as estimated from the stamps"
    return (
        "compare both cameras' stamps and check thermal_offset_ms, pairing_tolerance_ms and "
        "pairing_queue_size"
    )


def _shifted(report: NodeReport) -> str:
    """Return a line about cameras that moved relative to each other, or an empty text."""
    seen = report.alignment
    if seen is None or seen.clearness < _CLEAR or seen.shift_px <= report.alignment_warn_px:
        return ""
    return (
        f"the thermal image is shifted by {seen.shift_x_px:+.0f}, {seen.shift_y_px:+.0f} pixels: "
        "the cameras moved relative to each other. Calibrate again with `fusion-ros calibrate`"
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
    values += [(f"{topic} not published", str(n)) for topic, n in report.unpublished.items()]
    level, text = _fusion_state(report)
    return _status(name, level, text, values)


def _zones(name: str, report: NodeReport) -> DiagnosticStatus:
    values, texts = [], []
    for zone in report.zones:
        value = f"{zone.coldest:.1f} to {zone.hottest:.1f}"
        values.append((f"zone {zone.name}", value))
        if zone.level is ZoneLevel.UNSEEN:
            texts.append(
                f"{zone.name}: not seen by the thermal camera; check its polygon in zones_file and "
                "the calibration"
            )
        elif zone.level is not ZoneLevel.OK:
            limits = f"beyond its {zone.level.name} limit ({zone.limits})"
            texts.append(f"{zone.name}: {value}, {limits}")
    age_s = report.zones_age_s or 0.0
    if age_s > max(ZONES_STALE_S, report.timeout_ms.get(Stream.THERMAL, 0.0) / 1e3):
        text = f"not evaluated for {age_s:.1f} s: no pair was fused"
        return _status(name, DiagnosticStatus.ERROR, text, values)
    if not report.zones:
        return _status(name, DiagnosticStatus.OK, "waiting for the first frames", values)
    levels = {ZoneLevel.OK: DiagnosticStatus.OK, ZoneLevel.ERROR: DiagnosticStatus.ERROR}
    worst = max((zone.level for zone in report.zones), key=lambda level: _SEVERITY.index(level))
    level = levels.get(worst, DiagnosticStatus.WARN)
    return _status(name, level, "; ".join(texts) or "all zones are within their limits", values)


def _fusion_state(report: NodeReport) -> tuple[bytes, str]:
    engine, recent = report.engine, report.recent.counts.visible
    seconds = report.recent.seconds
    failed = {r: n for r, n in recent.rejected_by_reason.items() if r in PAIR_REASONS}
    if report.engine_hung_s:
        return DiagnosticStatus.ERROR, (
            f"engine {engine.name} on {engine.device} has not returned for "
            f"{report.engine_hung_s:.0f} s; nothing is fused. Call ~/reload or restart the node"
        )
    blocked = _blocked(report)
    if report.blocked_s:
        return DiagnosticStatus.ERROR, blocked
    if report.mode == MODE_STALLED:
        return DiagnosticStatus.ERROR, (
            f"stalled: pairs are found, but none was fused in the last {report.stalled_s:.0f} s; "
            f"the engine ({engine.name} on {engine.device}) or the publishing does not return"
        )
    if failed:
        most = max(failed, key=lambda reason: failed[reason])
        message = printable(report.rejections.get((Stream.VISIBLE, most), ""), 400)
        return DiagnosticStatus.ERROR, (
            f"{sum(failed.values())} of {paired(recent)} pairs of the last {seconds:.0f} s were "
            f"not fused ({most}): {message}"
        )
    if report.mode in DEGRADED:
        lost = DEGRADED[report.mode]
        uncalibrated = lost is Stream.THERMAL and report.calibration_missing
        why = "not calibrated yet" if uncalibrated else "lost"
        return DiagnosticStatus.WARN, (
            f"degraded: the {lost.value} camera is {why}, the other one's image is published alone"
        )
    if blocked:
        return DiagnosticStatus.WARN, blocked
    if report.engine_is_fallback:
        return DiagnosticStatus.WARN, (
            f"the requested engine failed; {engine.name} on {engine.device} runs in its place"
        )
    pairs = paired(recent)
    if seconds >= _EVALUATED_AFTER_S and recent.superseded > _WARN_LOST_SHARE * pairs:
        cheaper = cheaper_setting(
            engine, has_held=recent.held > 0, fused_hz=report.telemetry.fused_hz
        )
        return DiagnosticStatus.WARN, (
            f"overloaded: {recent.superseded} of {pairs} pairs of the last {seconds:.0f} s "
            f"were superseded; {cheaper.text}, or accept the lower output rate"
        )
    return DiagnosticStatus.OK, report.mode


def _blocked(report: NodeReport) -> str:
    """Return a line about outputs that the middleware does not accept, or an empty text."""
    why = (
        "; check for a stopped or killed subscriber on this machine "
        "(docs/explanation/reliability.md)"
    )
    if report.blocked_s:
        topics = ", ".join(f"{topic} for {s:.0f} s" for topic, s in report.blocked_s.items())
        return f"a publish has not returned: {topics}{why}"
    lost = {t: n - report.unpublished_before.get(t, 0) for t, n in report.unpublished.items()}
    topics = ", ".join(f"{n} of {topic}" for topic, n in lost.items() if n > 0)
    return f"could not be published in time: {topics}{why}" if topics else ""


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
        message=printable(message, LINE_LIMIT),
        values=[
            KeyValue(key=printable(key), value=printable(value, NAME_LIMIT))
            for key, value in values
        ],
    )
