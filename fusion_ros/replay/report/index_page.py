# SPDX-License-Identifier: Apache-2.0
"""`index.html` and `index.json` of many replays: a line for each, failed ones first."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from fusion_ros.files.writing import write_json
from fusion_ros.replay.gate import Verdict, look_up
from fusion_ros.replay.job import JobResult
from fusion_ros.replay.report.rendering import MOOD_OF, write_html

_MOODS = ("failed", "warning", "passed")
"""CSS classes, worst first."""
_FIGURES = {
    "fused": "fused",
    "share": "fused_share",
    "duration_s": "duration_s",
    "skew_ms": "sync.skew_ms.p95",
    "qw": "quality.candidates.fused.qw.mean",
    "qe": "quality.candidates.fused.qe.mean",
    "flicker": "temporal.flicker_index",
}
"""Figures of a row, and their paths in the summary."""


def write_index(folder: Path, results: Sequence[tuple[JobResult, Verdict]]) -> Path:
    """Write both files into a folder; the page links to the reports that exist."""
    rows = []
    for result, verdict in results:
        summary, report = result.summary, Path(result.job.out) / "report.html"
        word, mood = verdict.word, "passed" if verdict.word == "passed" else "failed"
        if word == "no gate":
            word = summary["rig"]["verdict"]
            mood = MOOD_OF[word]
        findings = summary.get("findings", [])
        codes = dict.fromkeys(f"{f['severity']}: {f['code']}" for f in findings)
        rows.append(
            {
                "name": Path(result.job.recording).name,
                "report": os.path.relpath(report, folder) if report.is_file() else "",
                "verdict": word,
                "mood": mood,
                "error": result.error,
                "failed": [r for r in verdict.reasons if r.startswith("FAIL")],
                **{name: look_up(summary, path) for name, path in _FIGURES.items()},
                "findings": list(codes),
            }
        )
    rows.sort(key=lambda row: (not row["error"], _MOODS.index(row["mood"])))
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "index.json", rows)
    counts = Counter(row["verdict"] for row in rows)
    values = {"name": f"{len(rows)} recordings", "rows": rows, "counts": counts}
    return write_html(folder / "index.html", "index.html.j2", values)
