# SPDX-License-Identifier: Apache-2.0
"""Time and pairing: frames by fate, skew, gaps, offset."""

from __future__ import annotations

from typing import Any

from fusion_ros.replay.report.cells import number, plot
from fusion_ros.replay.report.material import Material
from fusion_ros.replay.report.plots import histogram, line_plot
from fusion_ros.streams.ledger import Fate, Stream


def streams(m: Material) -> list[dict[str, Any]]:
    """Frames by fate, for each camera."""
    rows = []
    for stream in Stream:
        counts = m.summary["counts"][stream.value]
        facts = m.summary["sync"]["streams"][stream.value]
        formats = ", ".join(m.summary["formats"][stream.value]) or "nothing readable"
        reasons = counts["rejected_by_reason"]
        rows.append(
            {
                "name": stream.value,
                "text": f"{formats} · {facts['rate_hz']:.2f} Hz, jitter "
                f"{facts['jitter_ms']:.2f} ms · {facts['missing']} missing",
                "counts": counts,
                "recorded": m.summary["recorded"][stream.value],
                "received": counts["received"],
                "sum": sum(counts[fate.value] for fate in Fate) + counts["pending"],
                "parts": [
                    {"fate": fate.value, "count": counts[fate.value]}
                    for fate in Fate
                    if counts[fate.value]
                ],
                "reasons": ", ".join(f"{n} {why}" for why, n in reasons.items()),
            }
        )
    return rows


def time_plots(m: Material) -> list[dict[str, Any]]:
    """Skew, gaps and offset over time."""
    skews = list(zip(m.at_s, (p.skew_ms for p in m.pairs), strict=True))
    signed = m.summary["sync"]["signed_skew_ms"]
    drift, offset = m.summary["sync"]["drift_ms_per_min"], m.summary["sync"]["offset_ms"]
    about = f"p50 {number(signed['p50'], 2)} ms"
    about += f", drift {drift:+.2f} ms a minute" if drift is not None else ""
    about += f"; constant offset by {m.summary['sync']['offset_from']}: {offset:+.1f} ms" if (
        offset is not None) else ""  # fmt: skip
    gaps = [(name, m.intervals[name]) for name in ("visible", "thermal")]
    ceiling = _ceiling([y for _, line in gaps for _, y in line])
    return [
        plot(
            "Skew of each pair",
            about,
            line_plot([("skew", skews)], unit_y="ms", dots=True, marks=m.marks),
        ),
        plot(
            "Skew, how often",
            "thermal stamp − visible stamp",
            histogram([y for _, y in skews], unit_x="ms"),
        ),
        plot(
            "Distance between stamps",
            "peaks are missing frames",
            line_plot(
                gaps,
                unit_y="ms",
                dots=True,
                low=min(0.0, *ceiling),
                high=ceiling[1],
                first_colour=1,
            ),
            ("visible", "thermal"),
            first_colour=1,
        ),
        plot(
            "Estimated constant offset",
            "what to add to thermal stamps, by stamps and arrival",
            line_plot([("offset", m.offsets)], unit_y="ms") if m.offsets else "",
        ),
    ]


def _ceiling(values: list[float]) -> tuple[float, float]:
    """The range to show of distances that may hold one absurd value."""
    if not values:
        return 0.0, 1.0
    ordered = sorted(values)
    usual = ordered[len(ordered) // 2]
    return max(ordered[0], -2 * usual), min(ordered[-1], 12 * usual) * 1.1
