# SPDX-License-Identifier: Apache-2.0
"""`report.html`: head, verdict, sections, cost and identity of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fusion_ros.replay.compare import Comparison
from fusion_ros.replay.gate import Verdict
from fusion_ros.replay.quality import FUSED
from fusion_ros.replay.report import moments, pairing_section, quality_section
from fusion_ros.replay.report.material import MAIN_MEASURE, Material
from fusion_ros.replay.report.plots import line_plot
from fusion_ros.replay.report.rendering import (
    FATES,
    PAGES,
    badge,
    number,
    plot,
    tile,
    write_html,
)
from fusion_ros.streams.ledger import Stream


def write_report(
    folder: Path, material: Material, verdict: Verdict, comparison: Comparison | None = None
) -> Path:
    """Write `report.html` into a folder.

    Raises:
        ImportError: jinja2 is missing (extra `replay`).
    """
    script = (PAGES / "timeline.js").read_text(encoding="utf-8")
    values = {**_head(material, verdict), **_sections(material), "js": script}
    values["comparison"] = comparison
    values["comparison_plots"] = _comparison_plots(comparison) if comparison else []
    return write_html(folder / "report.html", "report.html.j2", values)


def _head(m: Material, verdict: Verdict) -> dict[str, Any]:
    recording, engine = m.summary["recording"], m.summary["engine"]
    word, mood = badge(verdict, m.summary["findings"])
    return {
        "name": recording["name"],
        "subtitle": f"{recording['kind']} · {m.summary['duration_s']:.1f} s · "
        f"{engine['preset']} on {engine['name']} ({engine['device']})",
        "badge": word,
        "badge_class": mood,
        "headline": _headline(m),
        "tiles": _tiles(m),
        "verdict_reasons": verdict.reasons,
        "findings": m.summary["findings"],
        "version": m.summary["version"],
    }


def _sections(m: Material) -> dict[str, Any]:
    return {
        "has_moments": bool(m.moments),
        "timeline": moments.timeline(m),
        "gallery": moments.gallery(m),
        "gallery_note": f"Best, typical and worst of {m.summary['quality']['frames']} measured "
        f"frames by {MAIN_MEASURE}, and gain jumps.",
        "moments_json": moments.moments_json(m),
        "streams": pairing_section.streams(m),
        "fates": FATES,
        "time_plots": pairing_section.time_plots(m),
        "quality": quality_section.quality(m),
        "temporal_plots": quality_section.temporal_plots(m),
        "detection": quality_section.detection(m),
        "misses": moments.misses(m),
        "cost": _cost(m),
        "identity": _identity(m),
    }


def _headline(m: Material) -> str:
    severities = [finding["severity"] for finding in m.summary["findings"]]
    counts = {severity: severities.count(severity) for severity in ("error", "warning")}
    found = " and ".join(f"{n} {name}{'s' if n > 1 else ''}" for name, n in counts.items() if n)
    text = f"{m.summary['fused']} pairs were fused; {found or 'no faults'} found."
    return text if m.summary["complete"] else f"{text} The replay was stopped before the end."


def _comparison_plots(comparison: Comparison) -> list[dict[str, Any]]:
    """Return the plots of both runs, pair by pair."""
    frames = comparison.frames
    now = [(frame.at_s, frame.now) for frame in frames]
    before = [(frame.at_s, frame.before) for frame in frames]
    changes = [(frame.at_s, frame.change) for frame in frames]
    measure = comparison.measure
    return [
        plot(f"{measure} in both runs", "", line_plot([("now", now), ("before", before)]),
             ("now", "before")),
        plot("Change, pair by pair", "now − before", line_plot([("change", changes)])),
    ]  # fmt: skip


def _tiles(m: Material) -> list[dict[str, str]]:
    sync, quality = m.summary["sync"], _fused_mean(m)
    share = m.summary["fused_share"]
    skew = sync["skew_ms"]["p95"]
    flicker = m.summary["temporal"]["flicker_index"]
    factor = m.summary["times"]["real_time_factor"]
    rates = [sync["streams"][stream.value]["rate_hz"] for stream in Stream]
    return [
        tile(f"{share:.1%}", "of the possible pairs fused", "good" if share > 0.97 else "bad"),
        tile(number(skew, 1, " ms"), "skew, 95th percentile"),
        tile(f"{rates[0]:.1f} / {rates[1]:.1f}", "Hz, visible / thermal"),
        tile(number(quality, 3), f"{MAIN_MEASURE}, mean of the fused images"),
        tile(number(flicker, 2), "flicker index (1: as the sources)"),
        tile(number(factor, 2, "×"), "real time, with measurements"),
    ]


def _fused_mean(m: Material) -> float | None:
    candidates = m.summary["quality"]["candidates"]
    return candidates.get(FUSED, {}).get(MAIN_MEASURE, {}).get("mean")


def _cost(m: Material) -> dict[str, Any]:
    """Return the times by stage."""
    times = m.summary["times"]
    rows = [
        [stage, *(number(d[k], 2) for k in ("p50", "p95", "p99", "max")), d["n"]]
        for stage, d in times["stages_ms"].items()
    ]
    return {
        "note": f"{times['wall_s']:.1f} s for {m.summary['duration_s']:.1f} s of recording, at "
        f"most {times['peak_memory_mib']:.0f} MiB. Times belong to this machine and vary from run "
        "to run; all other figures on this page do not.",
        "rows": rows,
    }


def _identity(m: Material) -> list[tuple[str, str, bool]]:
    """Return name, value, and whether to set the value as code."""
    recording, engine, machine = m.summary["recording"], m.summary["engine"], m.summary["machine"]
    packages = ", ".join(f"{k} {v}" for k, v in machine["packages"].items())
    detail = ", ".join(f"{k} {v}" for k, v in machine["engine_detail"].items())
    topics = ", ".join(f"{t['name']} ({t['messages']})" for t in recording["topics"])
    settings, output = m.summary["settings"], m.summary["output"]
    return [
        ("recording", recording["path"], True),
        ("sha256", recording["sha256"], True),
        ("size", f"{recording['size_bytes'] / 1e6:.1f} MB", False),
        ("topics", topics, False),
        ("visible", recording["visible"], True),
        ("thermal", recording["thermal"], True),
        ("chosen", recording["choice"], False),
        ("pairing", f"tolerance {settings['tolerance_ns'] / 1e6:g} ms, thermal offset "
         f"{settings['thermal_offset_ns'] / 1e6:g} ms, queue {settings['queue_size']}", False),
        ("engine", f"{engine['name']} on {engine['device']}, {engine['precision']}; {detail}",
         False),
        ("weights", f"{engine['preset']} {engine['weights_sha256']}", True),
        ("fused", f"{output['frames']} images, sha256 {output['sha256']}", True),
        ("machine", f"{machine['system']}, {machine['cores']} cores, Python "
         f"{machine['python']}", False),
        ("versions", packages, False),
    ]  # fmt: skip
