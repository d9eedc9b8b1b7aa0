# SPDX-License-Identifier: Apache-2.0
"""Measured figures of the documentation come from docs/measurements/ alone."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from pathlib import Path

import pytest

from benchmarks.report import pages
from benchmarks.report.tables import Measurement, Target, load, report

EXAMPLE = Measurement(
    title="Luma",
    command="python -m benchmarks.passes",
    machine="Abacus",
    date="2026-11-25",
    commit="abcdef0",
    columns=["step", "ms"],
    rows=[["luma", "0.41"]],
)
MARKED = "before\n<!-- table: luma -->\nold\n<!-- /table -->\nafter\n"
TABLES = sorted(pages.MEASUREMENTS.glob("*.json"))


@pytest.mark.parametrize("page", pages.pages(), ids=lambda page: page.name)
def test_pages_show_the_committed_measurements(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert pages.fill(text, pages.MEASUREMENTS) == text, "run python -m benchmarks.report.pages"


def test_every_measurement_stands_on_a_page() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages.pages())
    names = {path.stem for path in TABLES}
    assert names
    assert set(re.findall(r"<!-- table: (\S+) -->", text)) == names


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_every_measurement_states_its_origin(path: Path) -> None:
    found = load(path)
    assert found.command
    assert found.machine
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", found.date)
    assert re.fullmatch(r"[0-9a-f]{7,}", found.commit)


def test_a_page_shows_title_row_command_commit_and_machine(tmp_path: Path) -> None:
    EXAMPLE.write(tmp_path / "luma.json")
    filled = pages.fill(MARKED, tmp_path)
    assert "old" not in filled
    for expected in ("**Luma**", "| luma | 0.41 |", EXAMPLE.command, "abcdef0", "Abacus"):
        assert expected in filled
    assert pages.fill(filled, tmp_path) == filled


def test_a_place_without_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="luma"):
        pages.fill(MARKED, tmp_path)


def test_a_row_with_a_missing_cell_is_refused(tmp_path: Path) -> None:
    fields = dataclasses.asdict(EXAMPLE) | {"rows": [["luma"]]}
    (tmp_path / "luma.json").write_text(json.dumps(fields))
    with pytest.raises(ValueError, match="luma"):
        load(tmp_path / "luma.json")


def test_a_run_replaces_the_tables_that_have_a_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, folder, page = tmp_path / "bench", tmp_path / "measurements", tmp_path / "page.md"
    bench.mkdir()
    folder.mkdir()
    page.write_text(MARKED)
    monkeypatch.setattr(pages, "REPOSITORY", tmp_path)
    monkeypatch.setattr(pages, "MEASUREMENTS", folder)
    monkeypatch.setattr(pages, "pages", lambda: [page])
    for name in ("luma", "elsewhere"):
        EXAMPLE.write(bench / f"{name}.json")
    monkeypatch.setattr(sys, "argv", ["pages", "--bench", str(bench)])
    assert pages.main() == 0
    assert [path.name for path in folder.iterdir()] == ["luma.json"]
    assert "| luma | 0.41 |" in page.read_text()


@pytest.mark.parametrize(("is_met", "code"), [(True, 0), (False, 1)])
def test_a_report_has_command_targets_and_exit_code(
    is_met: bool, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "luma.json"
    monkeypatch.setattr(sys, "argv", ["passes.py", "--repeats", "3", "--json", str(path)])
    target = Target("at most 1 ms", "0.41 ms", is_met)
    assert report(path, "Luma", ["step", "ms"], [["luma", "0.41"]], targets=[target]) == code
    found = load(path)
    assert found.command == "python -m benchmarks.passes --repeats 3"
    assert found.notes == f"- at most 1 ms: 0.41 ms, {'met' if is_met else '**missed**'}"


README_ROWS = {
    "Qw on 21": [("quality", "`compact`", "Qw"), ("quality", "Laplacian", "Qw"),
                 ("quality", "the paper", "Qw")],
    "Qe on 21": [("quality", "`compact`", "Qe"), ("quality", "Laplacian", "Qe")],
    "weights": [("rivals", "compact, plain", "weights M"), ("rivals", "paper, plain", "weights M")],
    "operations": [("rivals", "compact, plain", "GFLOP"), ("rivals", "paper, plain", "GFLOP")],
    "image bytes": [("whole-path", "`compact`, openvino bfloat16", "whole (best)"),
                    ("rivals", "paper, plain eager, alone", "median (best)")],
}  # fmt: skip


@pytest.mark.parametrize("label", README_ROWS)
def test_the_readme_states_measured_figures(label: str) -> None:
    cells = " ".join(_readme_row(label)[1:])
    stated = [float(figure) for figure in re.findall(r"\d*\.?\d+", cells)]
    for name, row, column in README_ROWS[label]:
        measured = float(_cell(name, row, column).split(" ")[0])
        assert measured in stated
    assert len(stated) == len(README_ROWS[label])


def test_the_readme_states_the_range_of_the_measured_latency() -> None:
    row = next(
        row for row in load(pages.MEASUREMENTS / "node-latency.json").rows if row[0] == "end to end"
    )
    p50 = [float(cell.split(" / ")[0]) for cell in row[1:]]
    stated = _readme_row("latency")[1]
    assert [float(figure) for figure in re.findall(r"\d+\.\d+", stated)] == [min(p50), max(p50)]


def _readme_row(label: str) -> list[str]:
    lines = (pages.REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()
    (line,) = (line for line in lines if line.startswith(f"| {label}"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def _cell(name: str, row: str, column: str) -> str:
    measurement = load(pages.MEASUREMENTS / f"{name}.json")
    found = next(cells for cells in measurement.rows if cells[0].startswith(row))
    return found[measurement.columns.index(column)]
