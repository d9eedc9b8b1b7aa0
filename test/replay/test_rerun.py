# SPDX-License-Identifier: Apache-2.0
"""`--rerun`: images, boxes, skews and fates for the Rerun viewer."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from detector_models import bright_cells
from planted_faults import THERMAL, Shot, write_bag
from whole_runs import run

QUIET = ("--engine", "torch", "--measures", "none", "--baselines", "none", "--no-report")
FRAMES = 12


def one_thermal_frame_is_missing(n: int, shot: Shot) -> Shot | None:
    return None if shot.topic == THERMAL and n == 5 else shot


def rows_of(file: Path) -> dict[str, int]:
    """Return the number of rows of each entity."""
    printed = subprocess.run(
        [sys.executable, "-m", "rerun", "rrd", "print", str(file)],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    rows: dict[str, int] = {}
    for count, entity in re.findall(r"with (\d+) rows .* - (/\S+) - data", printed):
        rows[entity] = rows.get(entity, 0) + int(count)
    return rows


@pytest.mark.slow
def test_a_recording_for_the_viewer_has_each_pair_and_each_fate(tmp_path: Path) -> None:
    pytest.importorskip("rerun", reason="rerun-sdk is not installed (extra 'rerun')")
    bag = write_bag(tmp_path / "bag", one_thermal_frame_is_missing, count=FRAMES)
    file = tmp_path / "out.rrd"
    model = bright_cells(tmp_path / "model.onnx")
    spots = ("--set", "spots_mode=above_median", "--set", "spots_limit=1.0")
    options = ("--rerun", file, "--detector", model, *spots)
    assert run(bag, "--out", tmp_path / "out", *QUIET, *options) == 0
    rows = rows_of(file)
    pairs = FRAMES - 1
    assert [rows[f"/{name}"] for name in ("visible", "thermal", "fused", "skew_ms")] == [pairs] * 4
    assert (rows["/fates/visible"], rows["/fates/thermal"]) == (FRAMES, pairs)
    assert [rows[f"/fused/{name}"] for name in ("boxes", "places", "regions")] == [pairs] * 3
    assert list(tmp_path.glob("*.rrd")) == [file]


def test_a_missing_rerun_is_reported_with_the_install_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "rerun", None)
    bag = write_bag(tmp_path / "bag", count=2)
    file = tmp_path / "out.rrd"
    assert run(bag, "--out", tmp_path / "out", *QUIET, "--rerun", file) == 2
    assert "pip install rerun-sdk" in capsys.readouterr().err
    assert not file.exists()


def test_one_file_for_several_recordings_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("a", "b", "--out", tmp_path, "--rerun", tmp_path / "out.rrd") == 2
    assert "--rerun" in capsys.readouterr().err
