# SPDX-License-Identifier: Apache-2.0
"""Speed targets (bars) of this package, and their evaluation on the figures of a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

Document = Mapping[str, Any]
Row = dict[str, Any]

#: The whole path of `compact` at 640x480, bytes to bytes: 30 images a second.
MOST_WHOLE_PATH_MS = 33.0
#: Largest share of the whole path outside the network.
MOST_OUTSIDE_PERCENT = 15.0
#: `paper` of this package compared with the public code's network in eager float32.
LEAST_PAPER_TIMES, MOST_PAPER_LEVELS = 6.0, 2.0

PYRAMID = "Laplacian pyramid, colour"
GUIDED_FILTER = "guided filter, colour"
COMPACT = "compact, ours"

_PAPER_TIMES = {"times_alone": "alone in its process", "times_taking_turns": "taking turns"}


@dataclasses.dataclass(frozen=True)
class Bar:
    """One target, the measured value, and whether it is met."""

    asked: str
    measured: str
    is_met: bool


def bars(documents: Mapping[str, Document]) -> list[Bar]:
    """Return every bar for which these benchmarks, by their names in a run, have figures."""
    found: list[Bar] = []
    if "whole_path" in documents:
        found += _of_whole_path(documents["whole_path"]["rows"])
    if "rivals" in documents:
        found += _of_rivals(documents["rivals"]["rows"])
    for name, words in (("node_latency", "in time"), ("node_overload", "with too slow an engine")):
        if name in documents:
            found += _of_node(documents[name], words)
    return found


def fastest_of_ours(rows: list[Row], start: str = COMPACT) -> Row:
    """Return the fastest of the rivals' rows whose name has this start."""
    named = (row for row in rows if row.get("name", "").startswith(start))
    return min(named, key=lambda row: row["median_ms"])


def _of_whole_path(rows: list[Row]) -> Iterator[Bar]:
    for row in rows:
        case = row["preset"], row["thermal"], row["registration"]
        if case != ("compact", "uint8", "resize"):
            continue
        what = f"`compact` on {row['engine']} in {row['precision']}, {row['size']}"
        if row["stage"] == "whole":
            yield Bar(
                f"{what}: the whole path in at most {MOST_WHOLE_PATH_MS:.0f} ms",
                f"{row['median_ms']:.1f} ms, {1e3 / row['median_ms']:.0f} images a second",
                row["median_ms"] <= MOST_WHOLE_PATH_MS,
            )
        elif "outside_percent" in row:
            yield Bar(
                f"{what}: at most {row['outside_bar_percent']:.0f} % of it outside the network",
                f"{row['outside_percent']:.1f} %",
                row["outside_percent"] <= row["outside_bar_percent"],
            )


def _of_rivals(rows: list[Row]) -> Iterator[Bar]:
    pyramid_ms = next(row["median_ms"] for row in rows if row.get("name") == PYRAMID)
    ours_ms = fastest_of_ours(rows)["median_ms"]
    yield Bar(
        "`compact`, whole path, faster than the Laplacian pyramid in colour",
        f"{ours_ms:.1f} ms, the pyramid {pyramid_ms:.1f} ms",
        ours_ms < pyramid_ms,
    )
    for row in rows:
        if "paper_in" not in row:
            continue
        what = f"`paper` in {row['paper_in']}"
        for key, how in _PAPER_TIMES.items():
            yield Bar(
                f"{what}: at least {LEAST_PAPER_TIMES:.0f} times faster than plain eager, {how}",
                f"{row[key]:.1f} times",
                row[key] >= LEAST_PAPER_TIMES,
            )
        yield Bar(
            f"{what}: at most {MOST_PAPER_LEVELS:.0f} grey levels off",
            f"{row['max_error']:.0f}",
            row["max_error"] <= MOST_PAPER_LEVELS,
        )


def _of_node(document: Document, words: str) -> Iterator[Bar]:
    options, failures = document["options"], document["failures"]
    own = document["stages_ms"].get("end to end without engine")
    # In overload a pair waits for the previous one, which is time of the engine as well.
    took = (
        ""
        if own is None or options["overload"]
        else f"without the engine p50 {own['p50']:.1f} ms; "
    )
    yield Bar(
        f"the node at {options['rate']:.0f} Hz, {words}: all bars of `node_latency`",
        f"{took}{'; '.join(failures) or 'all met'}",
        not failures,
    )
