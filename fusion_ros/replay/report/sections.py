# SPDX-License-Identifier: Apache-2.0
"""Sections of the report with plots: time and pairing, quality, stability."""

from __future__ import annotations

import math
from typing import Any

from fusion_ros.metrics.names import HIGHER_IS_BETTER
from fusion_ros.replay.quality import FUSED
from fusion_ros.replay.report.material import Material
from fusion_ros.replay.report.plots import line_plot
from fusion_ros.replay.report.rendering import fates_of_stream, number, plot
from fusion_ros.streams.ledger import Stream


def streams(m: Material) -> list[dict[str, Any]]:
    """Return the frames of each stream by fate."""
    rows = []
    for name, facts in m.summary["sync"]["streams"].items():
        formats = ", ".join(m.summary["formats"][name]) or "no readable frame"
        text = f"{formats} · {facts['rate_hz']:.2f} Hz, jitter {facts['jitter_ms']:.2f} ms · "
        text += f"{facts['missing']} missing"
        recorded, counts = m.summary["recorded"][name], m.summary["counts"][name]
        rows.append(fates_of_stream(name, text, recorded, counts))
    return rows


def time_plots(m: Material) -> list[dict[str, Any]]:
    """Return the plot of skews."""
    skews = [(at, p.skew_ms) for at, p in m.timed_pairs if not p.is_held]
    signed = m.summary["sync"]["signed_skew_ms"]
    drift, offset = m.summary["sync"]["drift_ms_per_min"], m.summary["sync"]["offset_ms"]
    about = f"p50 {number(signed['p50'], 2)} ms"
    about += f", drift {drift:+.2f} ms per minute" if drift is not None else ""
    if offset is not None:
        about += f"; constant offset by {m.summary['sync']['offset_from']}: {offset:+.1f} ms"
    svg = line_plot([("skew", skews)], unit_y="ms", dots=True, marks=m.marks)
    return [plot("Skew of each pair", f"thermal stamp − visible stamp; {about}", svg)]


def quality(m: Material) -> dict[str, Any]:
    """Return the means of every measure for the fused image and each baseline."""
    facts = m.summary["quality"]
    candidates = facts["candidates"]
    if not candidates or not candidates.get(FUSED):
        return {"table": []}
    table = []
    for name in candidates[FUSED]:
        better_high = HIGHER_IS_BETTER[name]
        means = [candidates[c][name]["mean"] for c in candidates]
        known = [value for value in means if value is not None]
        best = (max if better_high else min)(known) if known else None
        cells = [{"text": number(v, 3), "best": v is not None and v == best} for v in means]
        table.append({"name": name, "direction": "↑" if better_high else "↓", "cells": cells})
    which = "Every pair" if facts["every"] == 1 else f"One pair in {facts['every']}"
    note = (
        f"{which} was measured ({facts['frames']} frames), on luma at full size; means below, the "
        "best of each row in bold. The visible or the thermal image alone scores high if a measure "
        "rewards copying one source."
    )
    return {"candidates": list(candidates), "table": table, "note": note}


def stability_plots(m: Material) -> list[dict[str, Any]]:
    """Return the plots of brightness and alignment."""
    places = {"fused": 2, "visible": 0, "thermal": 1, "average": 3}
    means = [(name, [(at, p.means[i]) for at, p in m.timed_pairs]) for name, i in places.items()]
    scores = [
        (at, p.alignment.score)
        for at, p in m.timed_pairs
        if p.alignment and math.isfinite(p.alignment.score)
    ]
    jumps = m.summary["temporal"]["gain_jumps"]
    jump_marks = [jump["at_s"] for stream in Stream for jump in jumps[stream.value]]
    shift = [m.summary["alignment"][f"shift_{axis}_px"]["p50"] for axis in "xy"]
    shifted = "no clear maximum found"
    if None not in shift:
        shifted = "best agreement at a shift of {:+.1f}, {:+.1f} px (median)".format(*shift)
    return [
        plot("Brightness", f"mean grey level; {len(jump_marks)} gain jumps",
             line_plot(means, marks=jump_marks), list(places)),
        plot("Alignment", f"agreement of the edges of both images, 1 is best; {shifted}",
             line_plot([("score", scores)], low=0.0, high=1.05)),
    ]  # fmt: skip
