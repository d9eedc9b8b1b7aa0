# SPDX-License-Identifier: Apache-2.0
"""`report.html`: the values that its template shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fusion_ros.replay.compare import Comparison
from fusion_ros.replay.gate import Verdict
from fusion_ros.replay.job import Job
from fusion_ros.replay.report import moments, sections
from fusion_ros.replay.report.material import Material
from fusion_ros.replay.report.rendering import FATES, MOOD_OF, PAGES, write_html
from fusion_ros.replay.rig import HEADLINE, NOT_USABLE, TEXTS, USABLE, answers, command_for


def write_report(
    folder: Path,
    material: Material,
    verdict: Verdict,
    job: Job,
    comparison: Comparison | None = None,
) -> Path:
    """Write `report.html` into a folder; the shown commands are those to run after `job`.

    Raises:
        ImportError: jinja2 is missing (extra `replay`).
    """
    summary = material.summary
    words = job.source, job.out, job.options
    found = [
        {**vars(a), "mood": MOOD_OF[a.word], "command": command_for(a.command, *words)}
        for a in answers(summary)
    ]
    values = {
        "name": summary["recording"]["name"],
        "summary": summary,
        "headline": _headline(summary),
        "score": HEADLINE.figure(summary),
        "mood_of": MOOD_OF,
        "answers": found,
        "verdict": verdict,
        "comparison": comparison,
        "has_moments": bool(material.evidence.result.moments),
        "timeline": moments.timeline(material),
        "gallery": moments.gallery(material),
        "moments_json": moments.moments_json(material),
        "streams": sections.streams(material),
        "fates": FATES,
        "time_plots": sections.time_plots(material),
        "quality": sections.quality(material),
        "stability_plots": sections.stability_plots(material),
        "misses": moments.misses(material),
        "js": (PAGES / "timeline.js").read_text(encoding="utf-8"),
    }
    return write_html(folder / "report.html", "report.html.j2", values)


def _headline(summary: dict[str, Any]) -> str:
    severities = [finding["severity"] for finding in summary["findings"]]
    counts = {severity: severities.count(severity) for severity in ("error", "warning")}
    found = " and ".join(f"{n} {name}{'s' if n > 1 else ''}" for name, n in counts.items() if n)
    weak = [name for name in TEXTS if summary["rig"][name] in (USABLE, NOT_USABLE)]
    text = f"{summary['fused']} pairs were fused; {found or 'no faults'} found."
    if weak and not found:
        text = f"{text[:-1]}, but see {' and '.join(weak)}."
    return text if summary["complete"] else f"{text} The replay was stopped before the end."
