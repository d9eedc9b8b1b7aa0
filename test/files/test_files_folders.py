# SPDX-License-Identifier: Apache-2.0
"""A run's results replace those of the run before as a whole, or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fusion_ros.files.folders import (
    FolderInUseError,
    discard,
    publish,
    reserved,
    stage,
)

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("summary.json", "report.html", "fused_bag", "comparison.json")


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """A folder with an earlier run's results, and a file of the user's own."""
    folder = tmp_path / "out"
    (folder / "fused_bag").mkdir(parents=True)
    for name in ("summary.json", "comparison.json", "fused_bag/bag.mcap", "notes.txt"):
        (folder / name).write_text(f"earlier {name}", encoding="utf-8")
    return folder


def staged(folder: Path) -> Path:
    staging = stage(folder)
    (staging / "fused_bag").mkdir()
    for name in ("summary.json", "report.html", "fused_bag/bag.mcap"):
        (staging / name).write_text(f"new {name}", encoding="utf-8")
    return staging


def test_new_results_replace_the_earlier_ones_and_nothing_else(before: Path) -> None:
    publish(staged(before), NAMES)
    assert contents(before) == {
        "summary.json": "new summary.json",
        "report.html": "new report.html",
        "fused_bag/bag.mcap": "new fused_bag/bag.mcap",
        "notes.txt": "earlier notes.txt",
    }
    assert sorted(os.listdir(before)) == ["fused_bag", "notes.txt", "report.html", "summary.json"]


def test_discarded_results_leave_no_trace(before: Path) -> None:
    earlier = contents(before)
    discard(staged(before))
    assert contents(before) == earlier


@pytest.mark.parametrize("fails_at", range(8))
def test_a_failure_while_publishing_restores_the_earlier_results(
    before: Path, fails_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier, staging = contents(before), staged(before)
    calls = 0
    real_replace, real_rename = os.replace, os.rename

    def failing(real):
        def move(source: Path, target: Path) -> None:
            nonlocal calls
            calls += 1
            if calls == fails_at + 1:
                raise OSError("disk full")
            real(source, target)

        return move

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", failing(real_replace))
        patch.setattr(os, "rename", failing(real_rename))
        try:
            publish(staging, NAMES)
        except OSError:
            assert {n: t for n, t in contents(before).items() if "unfinished" not in n} == earlier
        else:
            assert calls <= fails_at  # it went through before that many moves
    discard(staging)


def test_a_killed_run_leaves_the_earlier_results_and_the_next_one_cleans_up(before: Path) -> None:
    earlier = contents(before)
    code = (
        "import os, signal, pathlib; from fusion_ros.files.folders import stage\n"
        f"(stage(pathlib.Path({str(before)!r})) / 'summary.json').write_text('half')\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert {n: t for n, t in contents(before).items() if "unfinished" not in n} == earlier
    discard(stage(before))
    assert contents(before) == earlier


def test_two_runs_do_not_write_to_one_folder(tmp_path: Path) -> None:
    with reserved(tmp_path / "out"):
        with pytest.raises(FolderInUseError), reserved(tmp_path / "out"):
            pass
        assert (tmp_path / "out").is_dir()
    assert not (tmp_path / "out").exists()  # it was made for nothing


def test_an_existing_folder_stays(tmp_path: Path) -> None:
    with reserved(tmp_path):
        pass
    assert tmp_path.is_dir()
