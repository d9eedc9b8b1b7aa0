# SPDX-License-Identifier: Apache-2.0
"""Markdown tables of benchmarks' rows, as `docs/performance.md` has them. Times are in ms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

Document = dict[str, Any]
Row = dict[str, Any]


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def ms(value: float) -> str:
    """Three digits, as far as a time is known."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def median_and_best(row: Row) -> str:
    """Both of a sample, as "4.10 (3.80)"."""
    return f"{ms(row['median_ms'])} ({ms(row['best_ms'])})"


def whole_path(documents: list[Document]) -> str:
    """A row a case."""
    cases: dict[tuple[str, ...], dict[str, Row]] = {}
    names = ("preset", "engine", "precision", "size", "thermal", "registration")
    for row in documents[0]["rows"]:
        cases.setdefault(tuple(row[name] for name in names), {})[row["stage"]] = row
    lines = []
    for (preset, engine, precision, size, thermal, registration), stages in cases.items():
        (share,) = (row for row in stages.values() if "outside_percent" in row)
        percent, bar = share["outside_percent"], share["outside_bar_percent"]
        over = " (over)" if percent > bar else ""
        lines.append(
            [
                f"`{preset}`, {engine} {precision}, {size}",
                thermal,
                registration,
                median_and_best(stages["infer"]),
                median_and_best(stages["whole"]),
                f"{share['outside_ms']:.2f} ms, {percent:.0f} %{over}",
                f"{share['page_faults']:.0f}",
                f"{share['heap_bytes'] >> 10}",
            ]
        )
    header = ["", "thermal", "registration", "infer (best)", "whole (best)"]
    header += [f"outside the network (bar {bar:.0f} %)", "pages a frame", "heap a frame, KiB"]
    return table(header, lines)


def engines(documents: list[Document]) -> str:
    """A row an engine, a column a size, cost against size, and how far off its pictures are."""
    rows = documents[0]["rows"]
    sizes = list(dict.fromkeys(row["size"] for row in rows if "size" in row))
    slopes = {row["engine"]: row for row in rows if "ms_a_megapixel" in row}
    lines = []
    for name in dict.fromkeys(row["engine"] for row in rows):
        timed = {row["size"]: row for row in rows if row["engine"] == name and "size" in row}
        cells = [median_and_best(timed[size]) if size in timed else "-" for size in sizes]
        slope = slopes.get(name)
        cost = f"{slope['ms_a_megapixel']:.1f} + {slope['ms_fixed']:.1f}" if slope else "-"
        errors = [row for row in timed.values() if "max_error" in row]
        off = "-"
        if errors:
            worst = max(row["max_error"] for row in errors)
            off = f"{worst:.0f}, {max(row['mean_error'] for row in errors):.2f}"
        lines.append([name, *cells, cost, off])
    header = ["median (best)", *sizes, "ms a megapixel + fixed", "off by: max, mean grey levels"]
    return table(header, lines)


def batch(documents: list[Document]) -> str:
    """A row an engine and way, a column a number of pairs."""
    rows = documents[0]["rows"]
    counts = list(dict.fromkeys(row["pairs"] for row in rows))
    lines = []
    for engine, how in dict.fromkeys((row["engine"], row["how"]) for row in rows):
        timed = {r["pairs"]: r for r in rows if (r["engine"], r["how"]) == (engine, how)}
        lines.append([f"{engine}, {how}", *(median_and_best(timed[count]) for count in counts)])
    return table(["median (best)", *(f"{count} pairs" for count in counts)], lines)


def rivals(documents: list[Document]) -> str:
    """Fastest first, with what each costs; then the bars of `paper`."""
    rows = documents[0]["rows"]
    timed = sorted((row for row in rows if "median_ms" in row), key=lambda row: row["median_ms"])
    text = table(
        ["", "median (best)", "weights M", "GFLOP"],
        [
            [
                row["name"],
                median_and_best(row),
                *(
                    f"{row[k]:.2f}" if row.get(k) is not None else ""
                    for k in ("weights_m", "gflop")
                ),
            ]
            for row in timed
        ],
    )
    bars = table(
        ["`paper` in", "times faster than plain eager, alone", "taking turns", "off by at most"],
        [
            [
                row["paper_in"],
                f"{row['times_alone']:.1f}",
                f"{row['times_taking_turns']:.1f}",
                f"{row['max_error']:.0f} grey levels",
            ]
            for row in rows
            if "paper_in" in row
        ],
    )
    return f"{text}\n\n{bars}"


def limits(documents: list[Document]) -> str:
    """What the machine can, and our share of it."""
    rows = documents[0]["rows"]
    peaks = {row["precision"]: row["peak_gflops"] for row in rows}
    measured = ", ".join(f"{peak:.0f} GFLOP/s in {name}" for name, peak in peaks.items())
    header = ["", "GFLOP", "median (best)", "GFLOP/s", "of the matrix peak"]
    header += ["of memory bandwidth", "no faster than"]
    lines = [
        [
            f"`{row['preset']}` {row['precision']}, {row['engine']}",
            f"{row['gflop']:.2f}",
            median_and_best(row),
            f"{row['gflops']:.0f}",
            f"{row['peak_percent']:.0f} %",
            f"{row['memory_percent']:.0f} %",
            f"{ms(row['bound_ms'])}",
        ]
        for row in rows
    ]
    bandwidth = rows[0]["memory_gb_s"]
    return f"Measured: {measured}, {bandwidth:.0f} GB/s of memory.\n\n{table(header, lines)}"


def first(documents: list[Document]) -> str:
    """A row an engine, size and state of the cache."""
    return table(
        ["", "engine made", "first pair", "a later one"],
        [
            [
                f"{row['engine']}, {row['size']}, {row['cache']}",
                *(ms(row[name]) for name in ("made_ms", "first_ms", "later_ms")),
            ]
            for row in documents[0]["rows"]
        ],
    )


def imaging(documents: list[Document]) -> str:
    """A row a step."""
    rows = documents[0]["rows"]
    return table(
        [f"{rows[0]['size']}, {rows[0]['threads']} thread", "median (best)", "p90"],
        [[row["step"], median_and_best(row), ms(row["p90_ms"])] for row in rows],
    )


def node(documents: list[Document]) -> str:
    """A row a stage, p50 / p95 of each run; then its counts."""
    runs = {
        "three times too slow an engine" if run["options"]["overload"] else "usual": run
        for run in documents
    }
    stages = dict.fromkeys(stage for run in runs.values() for stage in run["stages_ms"])
    lines = []
    for stage in stages:
        times = [run["stages_ms"].get(stage) for run in runs.values()]
        lines.append([stage, *(f"{ms(t['p50'])} / {ms(t['p95'])}" if t else "-" for t in times)])
    texts = [table(["p50 / p95", *runs], lines), ""]
    for name, run in runs.items():
        counts = "; ".join(
            f"{stream}: "
            + ", ".join(f"{number} {fate}" for fate, number in fates.items() if number)
            for stream, fates in run["counts"].items()
        )
        options = run["options"]
        bars = "; ".join(run["failures"]) or "all bars hold"
        texts.append(
            f"- {name}: {options['size']} at {options['rate']:.0f} Hz for "
            f"{options['seconds']:.0f} s, {run['engine']}; {counts}; {bars}."
        )
    return "\n".join(texts)
