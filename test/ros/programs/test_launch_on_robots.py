# SPDX-License-Identifier: Apache-2.0
"""Launch files as robots use them: a detector, two rigs, a lifecycle manager, restarts, a bag."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("launch_ros", reason="launch_ros is not installed (it has no wheels)")
pytestmark = [pytest.mark.ros, pytest.mark.slow]

from launched import LAUNCH, Launched, response, wait_until_active  # noqa: E402
from lifecycle_msgs.srv import GetState  # noqa: E402
from planted_faults import write_bag  # noqa: E402

# Arguments of yolo_ros's yolo.launch.py, two of which fuse.launch.py has, too.
DETECTOR = """
import json
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
NAMES = ("input_image_topic", "model", "device", "namespace")

def write(context):
    given = {name: context.launch_configurations[name] for name in NAMES}
    others = sorted(set(context.launch_configurations) - set(NAMES))
    with open("detector.json", "w") as file:
        json.dump({"given": given, "others": others}, file)

def generate_launch_description():
    declared = [DeclareLaunchArgument(name, default_value=f"default {name}") for name in NAMES]
    return LaunchDescription([*declared, OpaqueFunction(function=write)])
"""
FAILING_DETECTOR = """
from launch import LaunchDescription
from launch.actions import OpaqueFunction

def fail(context):
    raise FileNotFoundError("uv")

def generate_launch_description():
    return LaunchDescription([OpaqueFunction(function=fail)])
"""
TWO_RIGS = """
from launch import LaunchDescription
from launch.actions import GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

def rig(**arguments):
    source = PythonLaunchDescriptionSource("{file}")
    return GroupAction([IncludeLaunchDescription(source, launch_arguments=arguments.items())])

def generate_launch_description():
    shared = dict(weights="{weights}", engine="torch", device="cpu")
    return LaunchDescription([
        rig(namespace="front", visible_topic="/front_rgb/image_raw", **shared),
        rig(namespace="rear", **shared),
    ])
"""


@pytest.fixture
def detector_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Install a package yolo_bringup with this launch file."""

    def install(text: str) -> None:
        prefix = tmp_path / "prefix"
        index = prefix / "share" / "ament_index" / "resource_index" / "packages"
        folder = prefix / "share" / "yolo_bringup" / "launch"
        index.mkdir(parents=True)
        folder.mkdir(parents=True)
        (index / "yolo_bringup").touch()
        (folder / "yolo.launch.py").write_text(text)
        before = os.environ.get("AMENT_PREFIX_PATH", "")
        monkeypatch.setenv("AMENT_PREFIX_PATH", f"{prefix}:{before}".rstrip(":"))

    return install


def test_detector_receives_its_arguments_and_none_of_ours(
    ros: Any,
    launch: Callable[..., Launched],
    detector_package: Callable[[str], None],
    weights: Path,
    tmp_path: Path,
) -> None:
    detector_package(DETECTOR)
    launched = launch(
        "detect.launch.py",
        namespace="front",
        device="cpu",
        engine="torch",
        weights=str(weights),
        detector_image_topic="/front/fused/image_raw",
        detector_arguments="model:=/data/yolo11n.onnx",
    )
    wait_until_active(ros, ros.node("observer"), "/front/fuse_node", launched)

    written = json.loads((tmp_path / "detector.json").read_text())
    assert written["given"] == {
        "input_image_topic": "/front/fused/image_raw",
        "model": "/data/yolo11n.onnx",
        "device": "default device",
        "namespace": "default namespace",
    }
    ours = {"weights", "params_file", "detector_arguments", "visible_topic"}
    assert not ours & set(written["others"])
    assert launched.interrupt() == 0, launched.text()


def test_failing_detector_ends_the_launch_and_leaves_no_node(
    launch: Callable[..., Launched], detector_package: Callable[[str], None]
) -> None:
    detector_package(FAILING_DETECTOR)
    launched = launch("detect.launch.py")

    assert launched.process.wait(timeout=120) == 1
    assert launched.environments() == {}
    assert "process started" not in launched.text()


def test_missing_detector_leaves_the_fuse_node_running(
    ros: Any, launch: Callable[..., Launched], weights: Path
) -> None:
    launched = launch(
        "detect.launch.py", detector_package="none_such", engine="torch", weights=str(weights)
    )
    wait_until_active(ros, ros.node("observer"), "/fuse_node", launched)
    assert "none_such" in launched.text()
    assert launched.interrupt() == 0, launched.text()


def test_two_rigs_in_one_launch_have_their_own_topics(
    ros: Any, launch: Callable[..., Launched], weights: Path, tmp_path: Path
) -> None:
    file = tmp_path / "rigs.launch.py"
    text = TWO_RIGS.replace("{file}", str(LAUNCH / "fuse.launch.py"))
    file.write_text(text.replace("{weights}", str(weights)))
    launched = launch(file)
    observer = ros.node("observer")
    for rig in ("front", "rear"):
        wait_until_active(ros, observer, f"/{rig}/fuse_node", launched)
    assert observer.count_subscribers("/front_rgb/image_raw") == 1
    assert observer.count_subscribers("/rear/visible/image_raw") == 1
    assert observer.count_publishers("/front/fused/image_raw") == 1
    assert observer.count_publishers("/rear/fused/image_raw") == 1
    assert launched.interrupt() == 0, launched.text()


def test_without_autostart_the_node_waits_for_its_manager_and_respawns(
    ros: Any, launch: Callable[..., Launched], weights: Path
) -> None:
    launched = launch(
        "fuse.launch.py", autostart="false", respawn="true", engine="torch", weights=str(weights)
    )
    client = ros.node("observer").create_client(GetState, "fuse_node/get_state")
    ros.spin_until(client.service_is_ready, "the node is there", timeout_s=120.0)
    answer = response(ros, client, GetState.Request())
    assert answer.current_state.label == "unconfigured"

    (process,) = launched.processes()
    os.kill(process, signal.SIGKILL)
    ros.spin_until(
        lambda: bool(set(launched.processes()) - {process}), "it was started again", 60.0
    )
    assert launched.interrupt() == 0, launched.text()
    assert launched.environments() == {}


def test_replay_of_a_bag_ends_the_launch_with_its_verdict(
    launch: Callable[..., Launched], weights: Path, tmp_path: Path
) -> None:
    bag = write_bag(tmp_path / "walk", count=24)
    params = tmp_path / "robot.yaml"
    params.write_text(f"/**:\n  ros__parameters:\n    engine: torch\n    weights: {weights}\n")
    gate = tmp_path / "gate.yaml"
    gate.write_text("limits: {fused_share: {min: 2.0}}\n")
    shared = {"bag": str(bag), "params_file": str(params), "extra": "--measures qw --every 12"}

    passed = launch("replay.launch.py", out=str(tmp_path / "report"), **shared)
    assert passed.process.wait(timeout=240) == 0, passed.text()
    assert json.loads((tmp_path / "report" / "summary.json").read_text())["fused"] > 0

    failed = launch("replay.launch.py", out=str(tmp_path / "gated"), gate=str(gate), **shared)
    assert failed.process.wait(timeout=240) == 1, failed.text()
    assert "exit code 1" in failed.text()
