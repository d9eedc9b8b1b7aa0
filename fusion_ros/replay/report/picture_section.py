# SPDX-License-Identifier: Apache-2.0
"""The pictures in figures: quality beside the baselines, steadiness, what a detector finds."""

from __future__ import annotations

import math
from typing import Any

from fusion_ros.metrics import MEASURES
from fusion_ros.replay.quality import FUSED
from fusion_ros.replay.report.cells import number, plot
from fusion_ros.replay.report.material import Material
from fusion_ros.replay.report.plots import line_plot
from fusion_ros.streams.ledger import Stream


def quality(m: Material) -> dict[str, Any]:
    """Means of every measure beside the baselines, and the main ones over time."""
    facts = m.summary["quality"]
    candidates = facts["candidates"]
    if not candidates or not candidates.get(FUSED):
        return {"table": []}
    table = []
    for name in candidates[FUSED]:
        better_high = MEASURES[name].higher_is_better
        means = [candidates[c][name]["mean"] for c in candidates]
        known = [value for value in means if value is not None]
        best = (max if better_high else min)(known) if known else None
        cells = [{"text": number(v, 3), "best": v is not None and v == best} for v in means]
        table.append({"name": name, "direction": "↑" if better_high else "↓", "cells": cells})
    plots = []
    for name in [n for n in ("qw", "qe", "Qabf", "MI") if n in candidates[FUSED]]:
        lines = []
        for candidate in candidates:
            points = [
                (at, p.quality[candidate][name])
                for at, p in zip(m.at_s, m.pairs, strict=True)
                if p.quality and p.quality[candidate][name] == p.quality[candidate][name]
            ]
            lines.append((candidate, points))
        svg = line_plot(lines, unit_y=name)
        plots.append(plot(f"{name} over time", "", svg, list(candidates)))
    which = "Every pair" if facts["every"] == 1 else f"One pair in {facts['every']}"
    note = (
        f"{which} was measured ({facts['frames']} frames), on luma at full size; means below, the "
        "best of each row in bold. The visible or the thermal picture alone scores high where a "
        "measure rewards copying one source."
    )
    return {"candidates": list(candidates), "table": table, "plots": plots, "note": note}


def temporal_plots(m: Material) -> list[dict[str, Any]]:
    """Brightness, change, flicker and alignment over time."""
    names = ("fused", "visible", "thermal")
    order = (2, 0, 1)
    means = [
        (name, [(at, p.means[i]) for at, p in zip(m.at_s, m.pairs, strict=True)])
        for name, i in zip(names, order, strict=True)
    ]
    changes = [
        (name, [(at, p.changes[i]) for at, p in zip(m.at_s, m.pairs, strict=True) if p.changes])
        for name, i in zip(names, order, strict=True)
    ]
    excess = [
        (at, p.excess_flicker)
        for at, p in zip(m.at_s, m.pairs, strict=True)
        if p.excess_flicker is not None
    ]
    looked = [(at, p.alignment) for at, p in zip(m.at_s, m.pairs, strict=True) if p.alignment]
    scores = [(at, a.score) for at, a in looked if math.isfinite(a.score)]
    alignment = m.summary["alignment"]
    jumps = m.summary["temporal"]["gain_jumps"]
    jump_marks = [jump["at_s"] for stream in Stream for jump in jumps[stream.value]]
    shift = (alignment["shift_x_px"]["p50"], alignment["shift_y_px"]["p50"])
    shifted = (
        f"best at a shift of {shift[0]:+.1f}, {shift[1]:+.1f} px (median)"
        if shift[0] is not None
        else "no clear place found"
    )
    return [
        plot("Brightness", f"mean grey level; {len(jump_marks)} gain jumps",
              line_plot(means, marks=jump_marks), list(names)),
        plot("Change from pair to pair", "mean |change| in grey levels: the fused picture "
              "should not be more restless than its sources", line_plot(changes), list(names)),
        plot("Flicker beyond both sources", "grey levels a pair that neither source explains",
              line_plot([("excess", excess)], low=0.0)),
        plot("Alignment", f"agreement of edges as the pictures lie, 1 is best; {shifted}",
              line_plot([("score", scores)], low=0.0, high=1.05)),
    ]  # fmt: skip


def detection(m: Material) -> dict[str, Any] | None:
    """What the detector found in each picture; None where there was none."""
    found = m.summary.get("detection")
    if not found:
        return None
    rows = [
        [
            picture,
            facts["detections"],
            number(facts["per_frame"], 2),
            number(facts["confidence"]["mean"], 3),
            number(facts["agreement_with_fused"], 2),
            number(facts.get("ap50"), 3),
            number(facts.get("ap"), 3),
        ]
        for picture, facts in found["pictures"].items()
    ]
    scores = [
        [
            label,
            picture,
            s["objects"],
            number(s["ap50"], 3),
            number(s["ap"], 3),
            number(s["recall"], 3),
            s["misses"],
        ]
        for label in found["pictures"]["fused"].get("classes", {})
        for picture, facts in found["pictures"].items()
        for s in (facts["classes"][label],)
    ]
    # In the colours that these pictures have in the other plots.
    names = ("fused", "visible", "thermal")
    titles = {"count": "Detections a frame", "confidence": "Mean confidence of a frame's boxes"}
    return {
        "note": f"{found['model']} ({found['layout']}), confidence at least "
        f"{found['confidence']:g}, on {found['frames']} frames. {found['labels_note']}",
        "head": [
            "picture",
            "detections",
            "a frame",
            "mean confidence",
            "agree with fused",
            "AP50",
            "AP50-95",
        ],
        "rows": rows,
        "class_head": [
            "class",
            "picture",
            "objects",
            "AP50",
            "AP50-95",
            f"recall at {found['confidence']:g}",
            "misses",
        ],
        "class_rows": scores,
        "plots": [
            plot(
                title,
                "",
                line_plot([(name, m.detections[kind][name]) for name in names], low=0.0),
                names,
            )
            for kind, title in titles.items()
        ],
    }
