# SPDX-License-Identifier: Apache-2.0
"""CSV cells: text that a spreadsheet would run is defused, numbers stay numbers."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_ros.files.tables import cell, write_table


@pytest.mark.parametrize(
    "text", ["=1+1", "+cmd", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "  =1", "＝1"]
)
def test_formulas_are_defused(text: str) -> None:
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize("value", [-1, -0.5, None, "-0.5", "+3", "-1e-9", "-inf", "nan", "", "car"])
def test_numbers_and_plain_text_stay(value: object) -> None:
    assert cell(value) == value


@given(st.text() | st.floats() | st.integers())
def test_no_cell_begins_a_formula(value: object) -> None:
    shown = str(cell(value))
    if shown.lstrip(" ")[:1] in set("=+-@\t\r\n"):
        float(shown)


@given(st.floats(allow_nan=False), st.integers())
def test_numbers_are_read_back_as_they_were(number: float, whole: int) -> None:
    assert float(cell(str(number))) == number
    assert int(cell(str(whole))) == whole


def test_headings_and_cells_of_a_table_are_defused(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write_table(path, [{"=head": "=1", "n": -2.5}])
    with path.open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [["'=head", "n"], ["'=1", "-2.5"]]
