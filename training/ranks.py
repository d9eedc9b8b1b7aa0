# SPDX-License-Identifier: Apache-2.0
"""Tables of scores with the ranks of methods for each measure and on average."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from fusion_ros.files.tables import new_table
from fusion_ros.files.writing import write_text
from fusion_ros.metrics.measures import MEASURES

Scores = Mapping[str, Mapping[str, float]]


def ranks(scores: Scores, measure: str) -> dict[str, float]:
    """Return each method's rank for a measure, 1 is best; equal scores share the mean rank."""
    sign = -1 if MEASURES[measure].higher_is_better else 1
    keys = {
        name: math.inf if math.isnan(row[measure]) else sign * row[measure]
        for name, row in scores.items()
    }
    return {
        name: 1
        + sum(k < key for k in keys.values())
        + (sum(k == key for k in keys.values()) - 1) / 2
        for name, key in keys.items()
    }


def mean_ranks(scores: Scores) -> dict[str, float]:
    """Return the mean rank of each method over all measures; lower is better."""
    measures = list(next(iter(scores.values())))
    by_measure = [ranks(scores, measure) for measure in measures]
    return {name: sum(row[name] for row in by_measure) / len(by_measure) for name in scores}


def write_tables(scores: Scores, mean_rank: Mapping[str, float], folder: Path, title: str) -> str:
    """Write ``table.md`` and ``table.csv``, best mean rank first, and return the Markdown.

    In the Markdown the best value of each measure is bold.
    """
    measures = list(next(iter(scores.values())))
    best = {m: min(ranks(scores, m).values()) for m in measures}
    of_measure = {m: ranks(scores, m) for m in measures}
    header = [
        "method",
        *(f"{m}{'' if MEASURES[m].higher_is_better else ' (low)'}" for m in measures),
    ]
    lines = [
        f"Means over {title}; the best of each measure bold; rank: mean over the measures.",
        "",
        "| " + " | ".join([*header, "rank"]) + " |",
        "|" + "---|" * (len(header) + 1),
    ]
    rows = []
    for name in sorted(scores, key=lambda n: mean_rank[n]):
        cells = []
        for m in measures:
            text = (
                f"{scores[name][m]:.4f}" if abs(scores[name][m]) < 3 else f"{scores[name][m]:.2f}"
            )
            cells.append(f"**{text}**" if of_measure[m][name] == best[m] else text)
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {mean_rank[name]:.2f} |")
        rows.append([name, *(f"{scores[name][m]:.6f}" for m in measures), f"{mean_rank[name]:.4f}"])
    text = "\n".join(lines) + "\n"
    write_text(folder / "table.md", text)
    with new_table(folder / "table.csv") as table:
        for row in [["method", *measures, "mean rank"], *rows]:
            table.write(row)
    return text
