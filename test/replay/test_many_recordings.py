# SPDX-License-Identifier: Apache-2.0
"""Many recordings in one call: the same figures however they are spread, and one index page."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
from multiprocessing.connection import Connection
from pathlib import Path

import cv2
import pytest
from planted_faults import write_bag
from whole_runs import read, run

from fusion_ros.cli.processes import sigterm_as_ctrl_c
from fusion_ros.replay import many_recordings
from fusion_ros.replay.gate import Verdict
from fusion_ros.replay.job import Job, JobResult, run_job
from fusion_ros.replay.report.index_page import write_index
from fusion_ros.replay.settings import ReplaySettings

OPTIONS = ("--engine", "torch", "--measures", "none")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def bags(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("bags")
    return [write_bag(folder / name, count=12) for name in ("walk", "twin")]


@pytest.fixture(scope="module")
def one_by_one(bags: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("one_by_one")
    assert run(*bags, "--out", out, *OPTIONS) == 0
    return out


def same_figures(a: Path, b: Path) -> None:
    assert (a / "index.html").is_file()
    assert (b / "index.html").is_file()
    for name in ("walk", "twin"):
        for table in ("pairs.csv", "frames.csv"):
            assert (a / name / table).read_bytes() == (b / name / table).read_bytes()


@pytest.mark.slow
def test_two_processes_give_the_results_of_one_and_compare_with_their_own_earlier_run(
    bags: list[Path], one_by_one: Path, tmp_path: Path
) -> None:
    options = (*OPTIONS, "--jobs", 2, "--compare", one_by_one)
    assert run(*reversed(bags), "--out", tmp_path, *options) == 0
    same_figures(one_by_one, tmp_path)
    rows = json.loads((tmp_path / "index.json").read_text(encoding="utf-8"))
    assert [row["name"] for row in rows] == ["twin", "walk"]
    for name in ("walk", "twin"):
        comparison = read(tmp_path / name, "comparison.json")
        assert comparison["other"] == name
        assert comparison["identical_frames"] == comparison["common_pairs"] == 12


def test_no_replay_starts_if_one_recording_has_no_earlier_run(
    bags: list[Path], one_by_one: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(one_by_one / "walk", tmp_path / "before" / "walk")
    out = tmp_path / "out"
    assert run(*bags, "--out", out, *OPTIONS, "--compare", tmp_path / "before") == 2
    assert "before/twin" in capsys.readouterr().err
    assert not out.exists()


def test_a_killed_worker_affects_only_its_own_recording(tmp_path: Path) -> None:
    """As the kernel does to the process that takes too much memory."""
    counts = {"long": 400, "short": 6, "last": 6}
    jobs = [
        Job(
            str(write_bag(tmp_path / name, count=count)),
            str(tmp_path / "out" / name),
            parameters={"engine": "torch"},
            settings=ReplaySettings(measures=(), baselines=(), measure_in_background=False),
            show_progress=False,
        )
        for name, count in counts.items()
    ]
    (tmp_path / "out" / "long").mkdir(parents=True)
    (tmp_path / "out" / "long" / "summary.json").write_text("earlier", encoding="utf-8")

    def kill_first() -> None:
        began = threading.Event()
        while not list((tmp_path / "out" / "long").glob(".unfinished-*")):
            began.wait(0.02)
        for child in multiprocessing.active_children():
            os.kill(child.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_first)
    killer.start()
    results = {Path(r.job.recording).name: r for r in many_recordings.run_side_by_side(jobs, 1)}
    killer.join()
    assert "SIGKILL" in results["long"].error
    assert [results[name].summary["fused"] for name in ("short", "last")] == [6, 6]
    assert os.listdir(tmp_path / "out" / "long") == ["summary.json"]
    assert not multiprocessing.active_children()


def _send_much(connection: Connection, job: Job, stop: object) -> None:
    """Send more than a pipe holds, in place of a replay."""
    connection.send(JobResult(job, error="x" * (1 << 20)))


def test_a_caller_that_leaves_early_does_not_wait_for_large_results(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As after a second Ctrl-C, while a report is written."""
    monkeypatch.setattr(many_recordings, "_work", _send_much)
    results = many_recordings.run_side_by_side([Job(f"{i}", f"out{i}") for i in range(3)], 3)
    next(results)
    ended = threading.Thread(target=results.close, daemon=True)
    ended.start()
    ended.join(60)
    assert not ended.is_alive()
    assert not multiprocessing.active_children()


def test_a_result_that_nobody_takes_leaves_no_files(tmp_path: Path) -> None:
    bag, out = write_bag(tmp_path / "bag", count=2), tmp_path / "out"
    job = Job(
        str(bag),
        str(out),
        parameters={"engine": "torch"},
        settings=ReplaySettings(measures=(), baselines=(), measure_in_background=False),
        show_progress=False,
    )
    ours, theirs = multiprocessing.Pipe()
    ours.close()
    many_recordings._work(theirs, job, threading.Event())
    assert list(out.iterdir()) == []


@pytest.mark.parametrize(
    "error",
    [cv2.error("bad\nline"), MemoryError(), AssertionError()],
    ids=lambda error: type(error).__name__,
)
def test_an_error_of_any_kind_affects_only_its_own_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("fusion_ros.replay.run.Replay.run", fail)
    out = tmp_path / "out"
    out.mkdir()
    (out / "summary.json").write_text("earlier", encoding="utf-8")
    bag = write_bag(tmp_path / "bag", count=2)
    result = run_job(Job(str(bag), str(out), parameters={"engine": "torch"}))
    assert result.error
    assert "\n" not in result.error
    assert os.listdir(out) == ["summary.json"]


@pytest.mark.slow
def test_a_full_disk_keeps_the_earlier_report_and_the_other_recordings(
    bags: list[Path], one_by_one: Path, tmp_path: Path
) -> None:
    """The limit is met by the first recording's report, not by the table."""
    out = tmp_path / "out"
    shutil.copytree(one_by_one, out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    limit = (40_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
    done = subprocess.run(
        [sys.executable, "-m", "fusion_ros.cli.main", "replay", *map(str, bags), "--out", str(out),
         *OPTIONS],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("could not run") == 2
    after = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    index = {out / "index.html", out / "index.json"}
    assert {p: b for p, b in after.items() if p not in index} == {
        p: b for p, b in before.items() if p not in index
    }
    assert [row["verdict"] for row in json.loads((out / "index.json").read_text())] == [
        "could not run"
    ] * 2


def test_sigterm_stops_as_ctrl_c_does() -> None:
    """As a service manager sends it."""
    with pytest.raises(KeyboardInterrupt), sigterm_as_ctrl_c():
        signal.raise_signal(signal.SIGTERM)


@pytest.mark.slow
def test_ctrl_c_leaves_reports_of_started_replays_and_an_index(tmp_path: Path) -> None:
    bag = str(write_bag(tmp_path / "bag", count=400))
    command = [sys.executable, "-m", "fusion_ros.cli.main", "replay", bag, bag, bag]
    # Every pair is measured, so that no machine is done before it is stopped.
    slow = ("--every", "1", "--fused-video", "--jobs", "2")
    out = tmp_path / "out"
    running = subprocess.Popen(
        [*command, "--out", str(out), "--engine", "torch", *slow],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    videos = [out / name / "fused.mp4" for name in ("bag", "bag_2")]
    # So many have begun to fuse.
    while not all(list(v.parent.glob(f".unfinished-*/{v.name}")) for v in videos):
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(timeout=0.05)
            pytest.fail(f"it ended by itself: {running.communicate()[0]}")
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does: to the workers, too
    said = running.communicate(timeout=120)[0]
    assert running.returncode == 130, said
    assert "Traceback" not in said
    for video in videos:
        summary = json.loads((video.parent / "summary.json").read_text(encoding="utf-8"))
        assert not summary["complete"]
        assert "partial" in {finding["code"] for finding in summary["findings"]}
        assert (video.parent / "report.html").is_file()
    rows = json.loads((out / "index.json").read_text(encoding="utf-8"))
    assert [row["error"] for row in rows if row["error"]] == ["stopped before it was started"]


def test_an_index_lists_failures_first_and_links_to_the_reports(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "report.html").touch()
    results = [
        (
            JobResult(Job("b.mcap", str(tmp_path / "b")), {"duration_s": 1.0, "fused": 3,
             "fused_share": 1.0, "sync": {"skew_ms": {"p95": 0.0}}, "findings": []}),
            Verdict("passed"),
        ),
        (JobResult(Job("a.mcap", "a"), error="gone"), Verdict.could_not_run("gone")),
    ]  # fmt: skip
    page = write_index(tmp_path, results).read_text(encoding="utf-8")
    assert page.index("a.mcap") < page.index('href="b/report.html"')
