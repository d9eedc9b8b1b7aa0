# SPDX-License-Identifier: Apache-2.0
"""Puts the page together: head, verdict, then section by section."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fusion_ros.replay.compare import Comparison
from fusion_ros.replay.gate import Verdict
from fusion_ros.replay.quality import FUSED
from fusion_ros.replay.report import moments, origin, pairing_section, picture_section
from fusion_ros.replay.report.badge import badge
from fusion_ros.replay.report.cells import markup, number, plot
from fusion_ros.replay.report.material import FACE, Material
from fusion_ros.replay.report.plots import line_plot
from fusion_ros.replay.report.templates import PAGES, write_html
from fusion_ros.streams.ledger import Fate, Stream


def write_report(
    folder: Path, material: Material, verdict: Verdict, comparison: Comparison | None = None
) -> Path:
    """Write `report.html` into a folder.

    Raises:
        ImportError: jinja2 is missing (extra `replay`).
    """
    script = markup((PAGES / "timeline.js").read_text(encoding="utf-8"))
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
        f"frames by {FACE}, and what happened at gain jumps.",
        "moments_json": moments.moments_json(m),
        "streams": pairing_section.streams(m),
        "fates": [fate.value for fate in Fate],
        "time_plots": pairing_section.time_plots(m),
        "quality": picture_section.quality(m),
        "temporal_plots": picture_section.temporal_plots(m),
        "detection": picture_section.detection(m),
        "misses": moments.misses(m),
        "cost": origin.cost(m),
        "identity": origin.identity(m),
    }


def _headline(m: Material) -> str:
    worst = {s: [f for f in m.summary["findings"] if f["severity"] == s] for s in
             ("error", "warning")}  # fmt: skip
    parts = []
    for severity, found in worst.items():
        if found:
            parts.append(f"{len(found)} {severity}{'s' if len(found) > 1 else ''}")
    fused = f"{m.summary['fused']} pairs were fused"
    text = f"{fused}; {' and '.join(parts)} found." if parts else f"{fused}; no faults were found."
    return text if m.summary["complete"] else f"{text} The replay was stopped early."


def _comparison_plots(comparison: Comparison) -> list[dict[str, Any]]:
    """Both runs, frame by frame."""
    frames = comparison.frames
    now = [(frame.at_s, frame.now) for frame in frames]
    before = [(frame.at_s, frame.before) for frame in frames]
    changes = [(frame.at_s, frame.change) for frame in frames]
    measure = comparison.measure
    return [
        plot(f"{measure} in both runs", "", line_plot([("now", now), ("before", before)]),
             ("now", "before")),
        plot("Change, frame by frame", "now − before", line_plot([("change", changes)])),
    ]  # fmt: skip


def _tiles(m: Material) -> list[dict[str, str]]:
    sync, face = m.summary["sync"], _fused_mean(m)
    share = m.summary["fused_share"]
    skew = sync["skew_ms"]["p95"]
    flicker = m.summary["temporal"]["flicker_index"]
    factor = m.summary["times"]["real_time_factor"]
    rates = [sync["streams"][stream.value]["rate_hz"] for stream in Stream]
    return [
        _tile(f"{share:.1%}", "of the possible pairs fused", "good" if share > 0.97 else "bad"),
        _tile(number(skew, 1, " ms"), "skew, 95 % of pairs"),
        _tile(f"{rates[0]:.1f} / {rates[1]:.1f}", "Hz, visible / thermal"),
        _tile(number(face, 3), f"{FACE}, mean of the fused"),
        _tile(number(flicker, 2), "flicker index (1: as its sources)"),
        _tile(number(factor, 2, "×"), "real time, measuring included"),
    ]


def _tile(value: str, label: str, mood: str = "") -> dict[str, str]:
    return {"value": value, "label": label, "mood": mood}


def _fused_mean(m: Material) -> float | None:
    candidates = m.summary["quality"]["candidates"]
    return candidates.get(FUSED, {}).get(FACE, {}).get("mean")
