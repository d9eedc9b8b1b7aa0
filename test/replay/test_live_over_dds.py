# SPDX-License-Identifier: Apache-2.0
"""`fusion-ros replay --live`, as a user runs it: a small bag through DDS into a real fuse node."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from left_behind import processes_with, started
from planted_faults import THERMAL, Shot, write_bag

pytest.importorskip("rclpy")
pytest.importorskip("rosbags")

from fusion_ros.cli.main import main
from fusion_ros.streams.ledger import Fate

pytestmark = [pytest.mark.ros, pytest.mark.slow]

FRAMES = 45
COMMAND = [sys.executable, "-m", "fusion_ros.cli.main", "replay"]
ROOT = Path(__file__).resolve().parents[2]


def without_some_thermal(n: int, shot: Shot) -> Shot | None:
    return None if shot.topic == THERMAL and n in (20, 21, 22) else shot


def live(bag: Path, out: Path, *more: object) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, str(bag), "--live", "--out", str(out), *(str(word) for word in more)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=280, check=False
    )


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1.5 s at 30 Hz in which three thermal frames are missing."""
    folder = tmp_path_factory.mktemp("bags")
    return write_bag(folder / "walk", without_some_thermal, count=FRAMES)


@pytest.fixture(scope="module")
def played(bag: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    out = tmp_path_factory.mktemp("live")
    gate = out / "gate.yaml"
    limits = {"fused": {"min": 1}, "age_ms.p50": {"max": 1000}, "highest.hz": {"min": 1e9}}
    gate.write_text(yaml.safe_dump({"limits": limits}), encoding="utf-8")
    # At half its rate: a machine that is busy with other things shall keep up with it, too.
    pace = ("--rate", 0.5, "--search-s", 0.5)
    # Statuses come once a second; with every image, no pass waits for the next one.
    often = ("--set", "status_every_frame=true")
    done = live(bag, out, "--engine", "torch", *pace, *often, "--gate", gate)
    assert done.returncode == 1, done.stdout + done.stderr
    failed = [line for line in done.stdout.splitlines() if "FAIL:" in line]
    assert len(failed) == 1
    assert "highest.hz" in failed[0]
    return out, done.stdout


def test_every_sent_frame_is_counted_by_the_node(played: tuple[Path, str]) -> None:
    figures = json.loads((played[0] / "live.json").read_text(encoding="utf-8"))
    assert figures["complete"]
    assert figures["sent"] == {"visible": FRAMES, "thermal": FRAMES - 3}
    assert figures["pairs_possible"] == FRAMES - 3
    for one in (figures, *figures["tried"]):
        assert one["adds_up"]
        for stream, counts in one["counts"].items():
            ended = sum(counts[fate.value] for fate in Fate) + counts["pending"]
            assert counts["received"] == ended
            assert one["lost_on_the_wire"][stream] == one["sent"][stream] - counts["received"]
    assert figures["engine"]["engine"] == "torch"


def test_ages_are_measured_in_present_time(played: tuple[Path, str]) -> None:
    figures = json.loads((played[0] / "live.json").read_text(encoding="utf-8"))
    age = figures["age_ms"]
    assert age["n"] == figures["fused_returned"] > 0
    # The bag is of 2023; an age of its own stamps would be years.
    assert 0.1 < age["p50"] <= age["p95"] <= age["p99"] < 10_000
    assert figures["way_ms"]["min"] > 0.1
    with (played[0] / "live_frames.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == age["n"]
    # The first frame was due at 0, the last one so many periods later, at half the rate.
    last_s = (FRAMES - 1) / 15
    assert 0 <= float(rows[0]["at_s"]) <= float(rows[-1]["at_s"]) <= last_s + 0.01


def test_the_highest_rate_is_searched_and_reported(
    played: tuple[Path, str],
) -> None:
    out, told = played
    figures = json.loads((out / "live.json").read_text(encoding="utf-8"))
    assert figures["tried"][0]["rate"] in (1.0, 0.25)  # doubled, or halved where frames were lost
    assert figures["highest"]["hz"] == pytest.approx(30 * figures["highest"]["rate"], rel=0.01)
    page = (out / "live.html").read_text(encoding="utf-8")
    assert f"{figures['highest']['hz']:.1f}" in page
    assert f"{figures['highest']['hz']:.1f} Hz" in told


def test_ctrl_c_ends_player_and_node(bag: Path, tmp_path: Path) -> None:
    command = [*COMMAND, str(bag), "--live", "--out", str(tmp_path), "--rate", "0.05"]
    with started([*command, "--engine", "torch"]) as (running, lines, mark):
        assert any("playing walk at 0.05" in line for line in lines)
        assert len(processes_with(mark)) == 3
        running.send_signal(signal.SIGINT)
        rest = running.communicate(timeout=60)[0]
    assert running.returncode == 130, rest
    assert "Traceback" not in rest
    assert processes_with(mark) == []


def test_the_log_of_a_node_that_cannot_start_is_printed(bag: Path, tmp_path: Path) -> None:
    done = live(bag, tmp_path, "--weights", tmp_path / "missing.safetensors")
    assert done.returncode == 2
    assert "missing.safetensors" in done.stderr


@pytest.mark.parametrize(
    ("more", "word"),
    [
        (["--live", "--detector", "model.onnx"], "--detector"),
        (["--live", "--jobs", "2", "--every", "3"], "--jobs, --every"),
        (["--rate", "2"], "--rate"),
    ],
)
def test_options_that_exclude_each_other_are_refused(
    bag: Path, tmp_path: Path, capsys, more: list[str], word: str
) -> None:
    assert main(["replay", str(bag), "--out", str(tmp_path), *more]) == 2
    assert word in capsys.readouterr().err
