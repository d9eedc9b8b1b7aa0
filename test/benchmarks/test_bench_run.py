# SPDX-License-Identifier: Apache-2.0
"""A run of all benchmarks after a failure, an overlong benchmark and Ctrl-C."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import __main__ as bench
from benchmarks.__main__ import Part, run
from benchmarks.timing import machine

WRITES = """
import json, sys
row = dict(step="luma", size="64x48", threads=1, median_ms=1.0, best_ms=1.0, p90_ms=1.0, runs=9)
open(sys.argv[-1], "w").write(json.dumps({"rows": [row]}))
"""


def part(name: str, script: str) -> Part:
    return Part(name, ("-c", script), expected_s=30.0)


def results(folder: Path) -> dict[str, str]:
    parts = json.loads((folder / "run.json").read_text())["parts"]
    return {name: record["result"] for name, record in parts.items()}


def test_a_failure_is_reported_and_the_others_run(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fails = part("batch", "import sys; print('no such thing'); sys.exit(3)")
    assert run([fails, part("imaging", WRITES)], tmp_path) == 1
    assert results(tmp_path) == {"batch": "failed, exit code 3", "imaging": "ok"}
    assert "| luma | 1.00 (1.00) | 1.00 |" in (tmp_path / "summary.md").read_text()
    said = capfd.readouterr().out
    assert "2 benchmarks, about 60 s in all" in said
    assert "no such thing" in said
    assert "[2/2] imaging, about 30 s" in said


def test_a_missed_bar_is_reported_and_its_figures_are_kept(tmp_path: Path) -> None:
    assert run([part("imaging", WRITES + "sys.exit(1)")], tmp_path) == 1
    assert results(tmp_path) == {"imaging": "a bar was missed, see its output"}
    assert (tmp_path / "imaging.json").is_file()


def test_a_failed_run_keeps_earlier_figures(tmp_path: Path) -> None:
    assert run([part("imaging", WRITES)], tmp_path) == 0
    before = (tmp_path / "imaging.json").read_text()
    run([part("imaging", "import sys; sys.exit(2)")], tmp_path)
    assert (tmp_path / "imaging.json").read_text() == before


def test_an_overlong_benchmark_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "PATIENCE", 0.0)
    monkeypatch.setattr(bench, "PATIENCE_S", 0.3)
    monkeypatch.setattr(bench, "_ENDING_S", 0.2)
    ignoring = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(60)"
    assert run([part("imaging", ignoring)], tmp_path) == 1
    assert results(tmp_path)["imaging"].startswith("ended after")


def test_the_next_run_expects_the_duration_of_the_last_one(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run([part("imaging", WRITES)], tmp_path)
    capfd.readouterr()
    run([part("imaging", WRITES)], tmp_path)
    assert "1 benchmarks, about 0 s in all" in capfd.readouterr().out


def test_a_page_does_not_mix_times_of_two_machines(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    untimed = dataclasses.replace(part("seen", WRITES), is_timed=False)
    fails = part("batch", "import sys; sys.exit(3)")
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(bench, "machine", lambda: {**machine(), "cpu": "Abacus"})
        run([part("imaging", WRITES)], tmp_path)
    # Results without times hold on every machine.
    run([untimed], tmp_path)
    assert "Abacus" in (tmp_path / "summary.md").read_text()
    assert list(results(tmp_path)) == ["imaging", "seen"]

    assert run([fails], tmp_path) == 1
    assert list(results(tmp_path)) == ["seen", "batch"]
    assert "left out: imaging in " in capfd.readouterr().out
    assert "Abacus" not in (tmp_path / "summary.md").read_text()


def test_ctrl_c_keeps_finished_figures_and_ends_all_processes(tmp_path: Path) -> None:
    waits = "import os, time; print('pid', os.getpid(), flush=True); time.sleep(60)"
    # Background processes of a shell ignore SIGINT, and so do their children.
    code = f"""
import signal, sys
from pathlib import Path
from benchmarks.__main__ import Part, run
signal.signal(signal.SIGINT, signal.default_int_handler)
parts = [Part("imaging", ("-c", {WRITES!r}), 1.0), Part("batch", ("-c", {waits!r}), 1.0)]
sys.exit(run(parts, Path({str(tmp_path)!r})))
"""
    running = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )
    line = next(line for line in running.stdout if line.startswith("  pid"))
    running.send_signal(signal.SIGINT)
    said = running.communicate(timeout=60)[0]
    assert running.returncode == 130
    assert "stopped; 1 finished" in said
    assert results(tmp_path) == {"imaging": "ok"}
    assert "luma" in (tmp_path / "summary.md").read_text()
    with pytest.raises(ProcessLookupError):
        os.kill(int(line.split()[1]), 0)
