# SPDX-License-Identifier: Apache-2.0
"""`fusion-ros demo` with real processes, DDS and files; no process is left behind."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import cv2
import pytest
import rclpy
from left_behind import processes_with, started

from fusion_ros.cli import demo
from fusion_ros.cli.processes import isolated_environment, ros_arguments

pytestmark = [pytest.mark.ros, pytest.mark.slow]

PROGRAM = """
import argparse, sys
from fusion_ros.cli import demo
parser = argparse.ArgumentParser()
demo.add_parser(parser.add_subparsers())
args = parser.parse_args()
sys.exit(args.run(args))
"""


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    demo.add_parser(parser.add_subparsers())
    return parser.parse_args(["demo", *arguments])


def small(out: Path, weights: Path) -> list[str]:
    sizes = ["--size", "160x128", "--thermal-size", "96x80"]
    return ["--out", str(out), "--weights", str(weights), "--rate", "10", *sizes]


def test_it_writes_an_image_a_video_and_a_summary_that_adds_up(
    tmp_path: Path, weights: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "demo"
    args = parse(*small(out, weights), "--seconds", "3")
    assert args.run(args) == 0
    summary = json.loads((out / "summary.json").read_text())
    assert summary["fused"] > 0
    assert summary["latency_ms"]["p50"] <= summary["latency_ms"]["p99"]
    assert summary["formats"]["thermal"] == "96x80 mono16"
    assert set(summary["rates_hz"]) == {"visible", "thermal", "fused"}
    for stream in ("visible", "thermal"):
        dropped = dict(summary["frames_dropped"][stream])
        dropped.pop("rejected_by_reason")
        fused = summary["frames_fused"][stream] + summary["frames_held"][stream]
        ended = fused + sum(dropped.values())
        assert summary["frames_in"][stream] == ended + summary["frames_pending"][stream]
    picture = cv2.imread(str(out / "side_by_side.png"))
    assert picture.shape[1] == 3 * 160
    assert cv2.VideoCapture(str(out / "fused.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) > 10
    printed = capfd.readouterr().out
    for name in set(demo.RESULTS) - {"registration.png"}:  # 96x80 is no 4:3: both cameras aligned
        assert str((out / name).resolve()) in printed


def test_a_failed_demo_prints_the_log_of_the_node_and_keeps_earlier_results(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "demo"
    out.mkdir()
    (out / "summary.json").write_text('{"fused": 99}')  # of an earlier run
    args = parse(*small(out, tmp_path / "missing.safetensors"), "--seconds", "1")
    assert args.run(args) == 1
    printed = capfd.readouterr().err
    assert "missing.safetensors" in printed
    assert str(out / "logs") in printed
    assert json.loads((out / "summary.json").read_text()) == {"fused": 99}


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_demo_leaves_results_and_no_process(
    tmp_path: Path, weights: Path, sent: signal.Signals
) -> None:
    command = [sys.executable, "-c", PROGRAM, "demo", *small(tmp_path, weights), "--seconds", "60"]
    with started(command) as (running, lines, mark):
        assert any("received the first fused image" in line for line in lines)
        assert len(processes_with(mark)) == 5
        running.send_signal(sent)
        rest = running.communicate(timeout=40)[0]
    assert running.returncode == 130, rest
    assert "Traceback" not in rest
    assert processes_with(mark) == []
    assert json.loads((tmp_path / "summary.json").read_text())["fused"] > 0


def test_a_killed_demo_leaves_no_process(tmp_path: Path, weights: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, "demo", *small(tmp_path, weights), "--seconds", "60"]
    with started(command) as (running, lines, mark):
        assert any("received the first fused image" in line for line in lines)
        running.kill()
        until = time.monotonic() + 30
        # The pipe closes when the last process that holds it has ended.
        running.communicate(timeout=30)
        tick = threading.Event()
        while processes_with(mark) and time.monotonic() < until:
            tick.wait(0.05)
    assert processes_with(mark) == []


def test_processes_are_limited_to_this_machine_unless_the_user_chose() -> None:
    ours = isolated_environment({"PATH": "/bin"})
    assert ours["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    assert 1 <= int(ours["ROS_DOMAIN_ID"]) <= 101
    assert any(value.endswith("fastdds_shm.xml") for value in ours.values())
    assert "ROS_LOCALHOST_ONLY" not in ours
    assert isolated_environment({"ROS_DISTRO": "humble"})["ROS_LOCALHOST_ONLY"] == "1"
    chosen = {
        "ROS_DOMAIN_ID": "42",
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET",
        "FASTRTPS_DEFAULT_PROFILES_FILE": "mine.xml",
    }
    kept = isolated_environment(chosen)
    assert {key: kept[key] for key in chosen} == chosen
    assert "FASTDDS_DEFAULT_PROFILES_FILE" not in kept


def test_parameters_of_a_node_keep_their_values_and_types(ros: Any) -> None:
    values = {"a": "12", "b": "it's", "c": 'a "b"\n\u00e4', "d": True, "e": 1.0, "f": 3, "g": ""}
    values["h"] = json.dumps(values)
    options = {"automatically_declare_parameters_from_overrides": True, "context": ros.context}
    node = ros.add(rclpy.create_node("typed", cli_args=ros_arguments(values), **options))
    found = {name: node.get_parameter(name).value for name in values}
    assert found == values
    assert all(type(found[name]) is type(value) for name, value in values.items())


@pytest.mark.parametrize(
    "arguments",
    [["--seconds", "0"], ["--seconds", "600"], ["--size", "640"], ["--size", "8x8"]],
)
def test_an_argument_out_of_range_is_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        parse(*arguments)
    assert stopped.value.code == 2
    assert "allowed is" in capsys.readouterr().err
