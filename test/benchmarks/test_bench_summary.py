# SPDX-License-Identifier: Apache-2.0
"""Tables and warnings of the page of all benchmarks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bench_figures import MACHINE, part, timed, write

from benchmarks.summary import sections, write_summary
from benchmarks.tables import engines, node, precision, whole_path

IMAGING = {"rows": [timed(0.4123, 0.351, step="luma", size="64x48", threads=1)]}


def test_the_page_has_machine_versions_dates_load_and_tables(
    tmp_path: Path,
) -> None:
    write(tmp_path, run={"machine": MACHINE, "parts": {"imaging": part()}}, imaging=IMAGING)
    page = write_summary(tmp_path).read_text()
    assert "Abacus, 2 cores, with bfloat16 in hardware; Python 3.11.7, torch 2.13.0." in page
    assert "| imaging | 2026-11-25 12:30 UTC | 31 | 0.1 | 1.9 | 1 % | ok |" in page
    assert "| luma | 0.41 (0.35) | 99.0 |" in page
    assert "WARNING" not in page
    assert "Engines" not in page  # not measured


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"load_before": 1.4}, "the load average was 1.4 before imaging"),
        ({"others_percent": 31.0}, "others took 31 % of the processors during imaging"),
    ],
)
def test_figures_of_a_busy_machine_are_marked(
    change: dict[str, float], words: str, tmp_path: Path
) -> None:
    run = {"machine": MACHINE, "parts": {"imaging": part(**change)}}
    write(tmp_path, run=run, imaging=IMAGING)
    assert f"**WARNING: the machine was busy**: {words}." in sections(tmp_path)["run"]


def test_load_of_the_previous_benchmark_is_no_disturbance(tmp_path: Path) -> None:
    later = part(load_before=1.9, begins_run=False, others_percent=None)
    write(tmp_path, run={"machine": MACHINE, "parts": {"imaging": later}}, imaging=IMAGING)
    assert "WARNING" not in sections(tmp_path)["run"]


def test_results_without_times_are_never_marked(tmp_path: Path) -> None:
    run = {"machine": MACHINE, "parts": {"imaging": part(others_percent=90.0, is_timed=False)}}
    write(tmp_path, run=run, imaging=IMAGING)
    assert "WARNING" not in sections(tmp_path)["run"]


def test_a_file_without_a_run_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, run={"machine": MACHINE, "parts": {"rivals": part()}}, imaging=IMAGING)
    assert "imaging" not in sections(tmp_path)


def test_the_error_for_a_folder_without_a_run_names_make_bench(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"run\.json cannot be read .*run `make bench` first"):
        write_summary(tmp_path)


def test_each_engine_has_a_row_with_sizes_slope_and_error() -> None:
    a = {"preset": "compact", "engine": "torch cpu float32"}
    b = {"preset": "compact", "engine": "openvino cpu bfloat16"}
    rows = [
        timed(3.91, 3.5, **a, size="320x256", max_error=0.0, mean_error=0.0),
        timed(10.24, 9.96, **a, size="640x480", max_error=0.0, mean_error=0.0),
        timed(100.4, 88.2, **b, size="640x480", max_error=3.0, mean_error=0.21),
        {**a, "ms_a_megapixel": 28.44, "ms_fixed": 1.58},
    ]
    assert engines(rows).split("\n")[2:4] == [
        "| torch cpu float32 | 3.91 (3.50) | 10.2 (9.96) | 28.4 + 1.6 | 0, 0.00 |",
        "| openvino cpu bfloat16 | - | 100 (88.2) | - | 3, 0.21 |",
    ]


def test_the_whole_path_marks_what_is_over_its_bar() -> None:
    labels = {"preset": "compact", "engine": "openvino", "precision": "bfloat16"}
    labels |= {"size": "64x48", "thermal": "uint16", "registration": "resize"}
    share = {"outside_ms": 1.0, "outside_percent": 20.0, "outside_bar_percent": 15.0}
    share |= {"page_faults": 0.0, "heap_bytes": 2048, "image_bytes": 1024}
    rows = [
        timed(4.0, 3.0, stage="infer", **labels),
        timed(5.0, 4.0, stage="whole", **labels),
        {"stage": "outside the network, memory", **labels, **share},
    ]
    header, _, line = whole_path(rows).split("\n")
    assert "outside the network (bar 15 %)" in header
    assert line == (
        "| `compact`, openvino bfloat16, 64x48 | uint16 | resize | 4.00 (3.00) | 5.00 (4.00) "
        "| 1.00 ms, 20 % (over) | 0 | 2 |"
    )


def test_slow_calls_with_few_runs_are_marked() -> None:
    a = {"preset": "paper", "engine": "torch cpu float32"}
    rows = [
        timed(90.0, 89.0, **a, size="320x256"),
        timed(1900.0, 1800.0, runs=3, **a, size="1920x1080"),
    ]
    table, note = engines(rows).split("\n\n")
    assert table.endswith("| torch cpu float32 | 90.0 (89.0) | 1900 (1800)† | - | - |")
    assert note == "† Slow, therefore 3 runs only."


def test_precision_has_a_row_for_each_set_and_engine() -> None:
    row = {"preset": "compact", "set": "tno21", "engine": "openvino cpu bfloat16", "pairs": 21}
    row |= {"max_error": 3.0, "least_mean_error": 0.131, "most_mean_error": 0.2}
    row |= {"share_off_by_more_than_1": 0.00042, "qw": 0.82134, "qe": 0.7957}
    assert precision([row]).split("\n")[-1] == (
        "| `compact`, tno21, openvino cpu bfloat16 | 21 | 3 | 0.13 to 0.20 | 0.04% of pixels "
        "| 0.8213 | 0.7957 |"
    )


def test_the_node_has_a_column_for_each_run_with_counts_and_missed_bars() -> None:
    def run(overload: bool, p50: float, failures: list[str]) -> dict[str, Any]:
        return {
            "options": {"overload": overload, "size": "640x512", "rate": 30.0, "seconds": 20.0},
            "engine": "openvino on cpu, bfloat16",
            "stages_ms": {"end to end": {"p50": p50, "p95": 14.94, "mean": 1.0}},
            "counts": {"visible": {"sent": 600, "fused": 600, "rejected": 0}},
            "failures": failures,
        }

    text = node({"a": run(False, 10.3, []), "b": run(True, 125.0, ["too late"])})
    assert "| p50 / p95 | usual | three times too slow an engine |" in text
    assert "| end to end | 10.3 / 14.9 | 125 / 14.9 |" in text
    assert "visible: 600 sent, 600 fused; all bars hold." in text
    assert text.endswith("; too late.")
