# SPDX-License-Identifier: Apache-2.0
"""`index.html` and `index.json` of many replays: a line for each, failed ones first."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from fusion_ros.files.writing import write_json
from fusion_ros.replay.gate import Verdict
from fusion_ros.replay.job import JobResult
from fusion_ros.replay.report.rendering import MOOD_OF, write_html

_MOODS = ("failed", "warning", "passed")
"""CSS classes, worst first."""


def write_index(folder: Path, results: Sequence[tuple[JobResult, Verdict]]) -> Path:
    """Write both files into a folder; the page links to the reports in it."""
    rows = []
    for result, verdict in results:
        summary = result.summary
        findings = summary.get("findings", [])
        word, mood = verdict.word, "passed" if verdict.word == "passed" else "failed"
        if word == "no gate":
            word = summary["rig"]["verdict"]
            mood = MOOD_OF[word]
        codes = dict.fromkeys(f"{f['severity']}: {f['code']}" for f in findings)
        quality = summary.get("quality", {}).get("candidates", {}).get("fused", {})
        rows.append(
            {
                "name": Path(result.recording).name,
                "report": os.path.relpath(Path(result.out) / "report.html", folder),
                "verdict": word,
                "mood": mood,
                "error": result.error,
                "failed": [r for r in verdict.reasons if r.startswith("FAIL")],
                "fused": summary.get("fused"),
                "share": summary.get("fused_share"),
                "duration_s": summary.get("duration_s"),
                "skew_ms": summary.get("sync", {}).get("skew_ms", {}).get("p95"),
                "qw": quality.get("qw", {}).get("mean"),
                "qe": quality.get("qe", {}).get("mean"),
                "flicker": summary.get("temporal", {}).get("flicker_index"),
                "findings": list(codes),
            }
        )
    rows.sort(key=lambda row: (not row["error"], _MOODS.index(row["mood"])))
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "index.json", rows)
    counts = Counter(row["verdict"] for row in rows)
    values = {"name": f"{len(rows)} recordings", "rows": rows, "counts": counts}
    return write_html(folder / "index.html", "index.html.j2", values)
