# SPDX-License-Identifier: Apache-2.0
"""`index.html` and `index.json` of many replays: a line for each, failed ones first."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from fusion_ros.replay.gate import Verdict
from fusion_ros.replay.job import JobResult
from fusion_ros.replay.page_making import write_html

_ORDER = ("could not run", "failed", "no gate", "passed")


def write_index(folder: Path, results: Sequence[tuple[JobResult, Verdict]]) -> Path:
    """Write both files into a folder; the page links to the reports beside it."""
    rows = []
    for result, verdict in sorted(results, key=lambda item: _ORDER.index(item[1].word)):
        summary = result.summary
        codes = [f"{f['severity']}: {f['code']}" for f in summary.get("findings", [])]
        quality = summary.get("quality", {}).get("candidates", {}).get("fused", {})
        rows.append(
            {
                "name": Path(result.recording).name,
                "report": os.path.relpath(Path(result.out) / "report.html", folder),
                "verdict": verdict.word,
                "error": result.error,
                "failed": [r for r in verdict.reasons if r.startswith("FAIL")],
                "fused": summary.get("fused"),
                "share": summary.get("fused_share"),
                "duration_s": summary.get("duration_s"),
                "skew_ms": summary.get("sync", {}).get("skew_ms", {}).get("p95"),
                "qw": quality.get("qw", {}).get("mean"),
                "qe": quality.get("qe", {}).get("mean"),
                "flicker": summary.get("temporal", {}).get("flicker_index"),
                "findings": codes,
            }
        )
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(rows, indent=2)
    (folder / "index.json").write_text(text + "\n", encoding="utf-8")
    counts = {word: sum(row["verdict"] == word for row in rows) for word in _ORDER}
    told = {word: n for word, n in counts.items() if n}
    return write_html(folder / "index.html", "index.html.j2", {"rows": rows, "counts": told})
