# SPDX-License-Identifier: Apache-2.0
"""Markdown tables of the benchmarks' rows, times in ms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from benchmarks.bars import Document, Row, bars

#: Medians of fewer runs than this are marked.
FEW_RUNS, FEW_RUNS_MARK = 5, "†"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def ms(value: float) -> str:
    """Format a time with three significant digits."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def median_and_best(row: Row) -> str:
    """Format median and best as "4.10 (3.80)", with a mark for few runs."""
    few = FEW_RUNS_MARK if row["runs"] < FEW_RUNS else ""
    return f"{ms(row['median_ms'])} ({ms(row['best_ms'])}){few}"


def with_notes(text: str, rows: list[Row]) -> str:
    """Return a table and the explanation of its mark, if the mark is used."""
    few = sorted({row["runs"] for row in rows if row.get("runs", FEW_RUNS) < FEW_RUNS})
    if not few:
        return text
    runs = " or ".join(str(count) for count in few)
    return f"{text}\n\n{FEW_RUNS_MARK} Slow, therefore {runs} runs only."


def met(documents: Mapping[str, Document]) -> str:
    """Return a row for each bar."""
    return table(
        ["asked", "measured", ""],
        [
            [bar.asked, bar.measured, "met" if bar.is_met else "**missed**"]
            for bar in bars(documents)
        ],
    )


def whole_path(rows: list[Row]) -> str:
    """Return a row for each case."""
    cases: dict[tuple[str, ...], dict[str, Row]] = {}
    names = ("preset", "engine", "precision", "size", "thermal", "registration")
    for row in rows:
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
    return with_notes(table(header, lines), rows)


def precision(rows: list[Row]) -> str:
    """Return a row for each preset, set of pairs and engine."""
    header = ["", "pairs", "at most", "in the mean", "by more than one level", "Qw", "Qe"]
    return table(
        header,
        [
            [
                f"`{row['preset']}`, {row['set']}, {row['engine']}",
                str(row["pairs"]),
                f"{row['max_error']:.0f}",
                f"{row['least_mean_error']:.2f} to {row['most_mean_error']:.2f}",
                f"{row['share_off_by_more_than_1']:.2%} of pixels",
                *(f"{row[name]:.4f}" for name in ("qw", "qe")),
            ]
            for row in rows
        ],
    )


def engines(rows: list[Row]) -> str:
    """Return a row for each engine: times by size, slope, and error of the images."""
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
    header = ["median (best)", *sizes, "ms a megapixel + fixed", "error: max, mean grey levels"]
    return with_notes(table(header, lines), rows)


def rivals(rows: list[Row]) -> str:
    """Return a row for each method, fastest first, with its cost."""
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
    return with_notes(text, rows)


def start_up(rows: list[Row]) -> str:
    """Return a row for each figure, with its bar and that of a start with an empty cache."""
    return table(
        ["", "median", "best", "bar", "first start"],
        [
            [row["figure"], *(f"{row[k]:.2f}" for k in ("median", "best", "bar", "first_start"))]
            for row in rows
        ],
    )


def imaging(rows: list[Row]) -> str:
    """Return a row for each step."""
    text = table(
        [f"{rows[0]['size']}, {rows[0]['threads']} thread", "median (best)", "p90"],
        [[row["step"], median_and_best(row), ms(row["p90_ms"])] for row in rows],
    )
    return with_notes(text, rows)


def node(documents: Mapping[str, Document]) -> str:
    """Return a row for each stage with p50 / p95 of each run, then the counts."""
    runs = {
        "three times too slow an engine" if run["options"]["overload"] else "usual": run
        for run in documents.values()
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
