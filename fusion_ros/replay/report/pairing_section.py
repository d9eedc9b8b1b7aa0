# SPDX-License-Identifier: Apache-2.0
"""Time and pairing: frames by fate, skews."""

from __future__ import annotations

from typing import Any

from fusion_ros.replay.report.material import Material
from fusion_ros.replay.report.plots import line_plot
from fusion_ros.replay.report.rendering import fates_of_stream, number, plot
from fusion_ros.streams.ledger import Stream


def streams(m: Material) -> list[dict[str, Any]]:
    """Return the frames of each stream by fate."""
    rows = []
    for stream in (stream.value for stream in Stream):
        facts = m.summary["sync"]["streams"][stream]
        formats = ", ".join(m.summary["formats"][stream]) or "no readable frame"
        text = f"{formats} · {facts['rate_hz']:.2f} Hz, jitter {facts['jitter_ms']:.2f} ms · "
        text += f"{facts['missing']} missing"
        counts = m.summary["counts"][stream]
        rows.append(fates_of_stream(stream, text, m.summary["recorded"][stream], counts))
    return rows


def time_plots(m: Material) -> list[dict[str, Any]]:
    """Return the plot of skews."""
    skews = [(at, p.skew_ms) for at, p in zip(m.at_s, m.pairs, strict=True) if not p.is_held]
    signed = m.summary["sync"]["signed_skew_ms"]
    drift, offset = m.summary["sync"]["drift_ms_per_min"], m.summary["sync"]["offset_ms"]
    about = f"p50 {number(signed['p50'], 2)} ms"
    about += f", drift {drift:+.2f} ms per minute" if drift is not None else ""
    if offset is not None:
        about += f"; constant offset by {m.summary['sync']['offset_from']}: {offset:+.1f} ms"
    svg = line_plot([("skew", skews)], unit_y="ms", dots=True, marks=m.marks)
    return [plot("Skew of each pair", f"thermal stamp − visible stamp; {about}", svg)]
