# SPDX-License-Identifier: Apache-2.0
"""A run of all benchmarks after a failure, an overlong benchmark and Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import __main__ as bench
from benchmarks.__main__ import Part, run
from benchmarks.report.tables import Measurement, load

TABLE = Measurement("Luma", "python -c", "Abacus", "2026-11-25", "abc", ["step"], [["luma"]])


def script(folder: Path, code: str, name: str = "passes", *, writes: bool = True) -> Part:
    """Return a benchmark that writes `TABLE` and runs the code."""
    file = folder / f"{name}.py"
    table = f"Path(sys.argv[-1]).write_text({(folder / 'table').read_text()!r})" if writes else ""
    file.write_text(f"import os, signal, sys, time\nfrom pathlib import Path\n{table}\n{code}\n")
    return Part(name, str(file), expected_s=30.0)


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    TABLE.write(tmp_path / "table")
    return tmp_path


def test_a_failure_is_reported_and_the_others_run(
    scripts: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fails = script(scripts, "print('no such thing'); sys.exit(3)", "rivals", writes=False)
    out = scripts / "bench"
    assert run([fails, script(scripts, "")], out) == 1
    assert [path.name for path in out.glob("*.json")] == ["passes.json"]
    assert "| luma |" in (out / "summary.md").read_text()
    said = capfd.readouterr().out
    assert "no such thing" in said
    assert "rivals: failed, exit code 3" in said


def test_a_missed_target_is_reported_and_its_figures_are_kept(scripts: Path) -> None:
    out = scripts / "bench"
    assert run([script(scripts, "sys.exit(1)")], out) == 1
    assert load(out / "passes.json").rows == TABLE.rows


def test_a_failed_run_keeps_earlier_figures(scripts: Path) -> None:
    out = scripts / "bench"
    assert run([script(scripts, "")], out) == 0
    before = (out / "passes.json").read_text()
    assert run([script(scripts, "sys.exit(2)", writes=False)], out) == 1
    assert (out / "passes.json").read_text() == before


def test_figures_of_a_busy_machine_are_marked(
    scripts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.LoadWatch, "others_percent", lambda watch: 31.0)
    run([script(scripts, "")], scripts / "bench")
    assert "31 %" in load(scripts / "bench" / "passes.json").notes


def test_an_overlong_benchmark_is_ended(scripts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "PATIENCE", 0.0)
    monkeypatch.setattr(bench, "PATIENCE_S", 0.3)
    monkeypatch.setattr(bench, "ENDING_S", 0.2)
    ignoring = "signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(60)"
    assert run([script(scripts, ignoring, writes=False)], scripts / "bench") == 1


def test_ctrl_c_keeps_finished_figures_and_ends_all_processes(scripts: Path) -> None:
    waits = "print('pid', os.getpid(), flush=True); time.sleep(60)"
    parts = [script(scripts, ""), script(scripts, waits, "rivals", writes=False)]
    # Background processes of a shell ignore SIGINT, and so do their children.
    code = f"""
import signal, sys
from pathlib import Path
from benchmarks.__main__ import Part, run
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(run({parts!r}, Path({str(scripts / "bench")!r})))
"""
    running = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )
    line = next(line for line in running.stdout if line.startswith("pid"))
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)
    assert running.returncode == 130
    assert load(scripts / "bench" / "passes.json").rows == TABLE.rows
    with pytest.raises(ProcessLookupError):
        os.kill(int(line.split()[1]), 0)
