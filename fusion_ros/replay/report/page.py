# SPDX-License-Identifier: Apache-2.0
"""`report.html`: verdict, answers, sections and identity of a run."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from fusion_ros.replay.compare import Comparison
from fusion_ros.replay.gate import Verdict
from fusion_ros.replay.report import moments, sections
from fusion_ros.replay.report.material import MAIN_MEASURE, Material
from fusion_ros.replay.report.rendering import FATES, MOOD_OF, PAGES, write_html
from fusion_ros.replay.rig import HEADLINE, answers, command_for


def write_report(
    folder: Path,
    material: Material,
    verdict: Verdict,
    comparison: Comparison | None = None,
    *,
    source: str = "",
    out: str = "replay",
    options: str = "",
) -> Path:
    """Write `report.html` into a folder.

    Args:
        folder: where to write.
        material: of the run.
        verdict: of the gate.
        comparison: with an earlier run.
        source, out, options: of the shown commands, see `command_for`.

    Raises:
        ImportError: jinja2 is missing (extra `replay`).
    """
    source = source or shlex.quote(material.summary["recording"]["path"])
    script = (PAGES / "timeline.js").read_text(encoding="utf-8")
    values = {**_head(material, verdict), **_sections(material), "js": script}
    values["answers"] = [
        {
            **vars(a),
            "mood": MOOD_OF[a.word],
            "command": command_for(a.command, source, out, options),
        }
        for a in answers(material.summary)
    ]
    values["comparison"] = comparison
    return write_html(folder / "report.html", "report.html.j2", values)


def _head(m: Material, verdict: Verdict) -> dict[str, Any]:
    recording, engine, rig = m.summary["recording"], m.summary["engine"], m.summary["rig"]
    return {
        "name": recording["name"],
        "subtitle": f"{recording['kind']} · {m.summary['duration_s']:.1f} s · "
        f"{engine['preset']} on {engine['name']} ({engine['device']})",
        "badge": f"rig: {rig['verdict']}",
        "badge_class": MOOD_OF[rig["verdict"]],
        "headline": _headline(m),
        "score": HEADLINE.figure(m.summary),
        "score_mood": MOOD_OF,
        "verdict_word": verdict.word,
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
        "streams": sections.streams(m),
        "fates": FATES,
        "time_plots": sections.time_plots(m),
        "quality": sections.quality(m),
        "stability_plots": sections.stability_plots(m),
        "detection": sections.detection(m),
        "misses": moments.misses(m),
        "identity": _identity(m),
    }


def _headline(m: Material) -> str:
    severities = [finding["severity"] for finding in m.summary["findings"]]
    counts = {severity: severities.count(severity) for severity in ("error", "warning")}
    found = " and ".join(f"{n} {name}{'s' if n > 1 else ''}" for name, n in counts.items() if n)
    text = f"{m.summary['fused']} pairs were fused; {found or 'no faults'} found."
    return text if m.summary["complete"] else f"{text} The replay was stopped before the end."


def _identity(m: Material) -> list[tuple[str, str, bool]]:
    """Return name, value, and whether to set the value as code."""
    recording, engine, machine = m.summary["recording"], m.summary["engine"], m.summary["machine"]
    packages = ", ".join(f"{k} {v}" for k, v in machine["packages"].items())
    detail = ", ".join(f"{k} {v}" for k, v in machine["engine_detail"].items())
    topics = ", ".join(f"{t['name']} ({t['messages']})" for t in recording["topics"])
    settings, output, times = (m.summary[key] for key in ("settings", "output", "times"))
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
        ("time", f"{times['wall_s']:.1f} s on this machine, at most "
         f"{times['peak_memory_mib']:.0f} MiB; by step in times.csv", False),
        ("machine", f"{machine['system']}, {machine['cores']} cores, Python "
         f"{machine['python']}", False),
        ("versions", packages, False),
    ]  # fmt: skip
