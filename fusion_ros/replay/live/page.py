# SPDX-License-Identifier: Apache-2.0
"""`live.html`: the figures of a live replay."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fusion_ros.replay.gate import Verdict
from fusion_ros.replay.live.rate_search import MOST_LOSS
from fusion_ros.replay.report.plots import line_plot
from fusion_ros.replay.report.rendering import FATES, fates_of_stream, plot, write_html


def write_page(folder: Path, live: Mapping[str, Any], verdict: Verdict) -> Path:
    """Write `live.html` beside `live.json`, whose content is `live`, and `live_frames.csv`.

    Raises:
        ImportError: jinja2 is missing (extra `replay`).
    """
    badge, mood = verdict.word, verdict.word
    if verdict.word == "could not run":
        badge, mood = "not finished", "failed"
    elif verdict.word == "no gate":
        bad = any(f["severity"] == "error" for f in live["findings"])
        badge, mood = ("frames lost", "failed") if bad else ("no loss", "passed")
    with (folder / "live_frames.csv").open(encoding="utf-8", newline="") as file:
        ages = [(float(r["at_s"]), float(r["age_ms"])) for r in csv.DictReader(file)]
    counts = live["counts"]
    values = {
        "name": live["recording"]["name"],
        "live": live,
        "badge": badge,
        "mood": mood,
        "verdict": verdict,
        "most_loss": MOST_LOSS,
        "streams": [
            fates_of_stream(s, f"{lost} not received by the node", live["sent"][s], counts[s])
            for s, lost in live["lost_on_the_wire"].items()
        ],
        "fates": FATES,
        "age_plot": plot("Age over time", "by due time of the visible frame",
                         line_plot([("age", ages)], unit_y="ms", low=0.0)),
    }  # fmt: skip
    return write_html(folder / "live.html", "live.html.j2", values)
