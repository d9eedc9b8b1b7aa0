# SPDX-License-Identifier: Apache-2.0
"""The launch files, really launched: in a process of their own, over real DDS."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("launch_ros", reason="launch_ros is not installed (it has no wheels)")
pytestmark = [pytest.mark.ros, pytest.mark.slow]

from launched import LAUNCH, Launched, response, wait_until_active  # noqa: E402
from rcl_interfaces.srv import GetParameters  # noqa: E402

from fusion_ros.nodes.runtime.dds_profile import PROFILE_VARIABLES  # noqa: E402


def test_node_has_the_given_names_and_stops_on_ctrl_c(
    ros: Any, launch: Callable[..., Launched], weights: Path, tmp_path: Path
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "/**:\n  ros__parameters:\n    output_encoding: mono8\n    engine: torch\n    device: cpu\n"
    )
    launched = launch(
        "fuse.launch.py",
        namespace="front",
        visible_topic="/cam/color/image_raw",
        thermal_topic="lepton/image_raw",
        fused_namespace="both",
        params_file=str(file),
        weights=str(weights),
    )
    observer = ros.node("observer")
    wait_until_active(ros, observer, "/front/fuse_node", launched)

    # parameters: the file's where no argument is given, the argument's where one is
    client = observer.create_client(GetParameters, "/front/fuse_node/get_parameters")
    names = ["output_encoding", "device", "weights", "preset"]
    answer = response(ros, client, GetParameters.Request(names=names))
    values = [value.string_value for value in answer.values]
    assert values == ["mono8", "cpu", str(weights), "compact"]

    def topics_are_there() -> bool:
        return bool(
            observer.count_subscribers("/cam/color/image_raw")
            and observer.count_subscribers("/cam/color/camera_info")
            and observer.count_subscribers("/front/lepton/image_raw")
            and observer.count_publishers("/front/both/image_raw")
            and observer.count_publishers("/front/both/image_raw/compressed")
            and observer.count_publishers("/front/both/overlay")
            and observer.count_publishers("/front/both/status")
        )

    ros.spin_until(topics_are_there, "the topics carry the names of the arguments")

    (environment,) = launched.environments().values()
    profiles = [environment.get(name, "") for name in PROFILE_VARIABLES]
    assert any(file.endswith("fastdds_shm.xml") for file in profiles)

    assert launched.interrupt() == 0, launched.text()
    assert launched.environments() == {}
    assert "Traceback" not in launched.text()


def test_demo_writes_its_files_and_ends(
    launch: Callable[..., Launched], weights: Path, tmp_path: Path
) -> None:
    out = tmp_path / "demo"
    names = {"visible_topic": "/mast/rgb", "thermal_topic": "lepton/raw", "fused_namespace": "both"}
    launched = launch("demo.launch.py", out=str(out), seconds="3.0", weights=str(weights), **names)

    assert launched.process.wait(timeout=120) == 0, launched.text()

    assert json.loads((out / "summary.json").read_text())["frames_fused"]["visible"] > 0
    assert (out / "side_by_side.png").is_file(), launched.text()
    assert launched.environments() == {}


def test_demo_fails_at_once_when_its_node_ends(launch: Callable[..., Launched]) -> None:
    launched = launch("demo.launch.py", weights="/nowhere.safetensors")

    assert launched.process.wait(timeout=120) == 1, launched.text()

    assert "fuse_node-1 ended with exit code 2" in launched.text()
    assert launched.environments() == {}


def test_replay_of_a_missing_bag_fails_the_launch(launch: Callable[..., Launched]) -> None:
    launched = launch("replay.launch.py", bag="/nowhere.mcap")

    assert launched.process.wait(timeout=120) == 1, launched.text()

    assert "/nowhere.mcap does not exist" in launched.text()
    assert "replay-1 ended with exit code 2" in launched.text()


def test_value_outside_the_choices_is_refused(launch: Callable[..., Launched]) -> None:
    launched = launch("fuse.launch.py", preset="enormous")

    assert launched.process.wait(timeout=60) != 0
    assert "preset" in launched.text()
    assert "compact" in launched.text()


@pytest.mark.parametrize("build_only", ["true", "false"])
def test_missing_parameter_file_starts_nothing(
    build_only: str, launch: Callable[..., Launched]
) -> None:
    launched = launch("fuse.launch.py", params_file="~/mine.yaml", build_only=build_only)

    assert launched.process.wait(timeout=60) == 1
    assert "params_file is '~/mine.yaml'" in launched.text()
    assert "process started" not in launched.text()


def test_parameter_file_without_a_section_for_the_node_starts_nothing(
    tmp_path: Path, launch: Callable[..., Launched]
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("fuse_node:\n  ros__parameters: {engine: torch}\n")
    launched = launch("fuse.launch.py", params_file=str(file), namespace="front")

    assert launched.process.wait(timeout=60) == 1
    assert "for /front/fuse_node (sections: /fuse_node)" in launched.text()
    assert "process started" not in launched.text()


@pytest.mark.skipif(
    importlib.util.find_spec("tensorrt") is not None, reason="TensorRT is installed here"
)
@pytest.mark.parametrize("file", ["fuse.launch.py", "detect.launch.py"])
def test_failed_build_ends_the_launch_with_its_reason(
    file: str, launch: Callable[..., Launched], weights: Path
) -> None:
    launched = launch(file, build_only="true", weights=str(weights))

    assert launched.process.wait(timeout=120) == 1, launched.text()

    assert "TensorRT is not installed" in launched.text()
    assert "build_engine-1 ended with exit code 2" in launched.text()
    assert "fuse_node" not in launched.text()
    assert "no detector" not in launched.text()


def test_successful_build_ends_the_launch_with_0(launch: Callable[..., Launched]) -> None:
    # A build command that ends with 0 where there is no TensorRT.
    launched = launch("fuse.launch.py", build_only="true", build_options="--help")

    assert launched.process.wait(timeout=120) == 0, launched.text()

    assert "usage: fusion-ros build-engine" in launched.text()
    assert "fuse_node" not in launched.text()


def test_build_command_has_the_parameters_of_the_node(tmp_path: Path) -> None:
    from launch import LaunchContext
    from launch.actions import DeclareLaunchArgument, ExecuteProcess
    from launch.launch_description_sources import PythonLaunchDescriptionSource

    file = tmp_path / "robot.yaml"
    file.touch()
    context = LaunchContext()
    context.launch_configurations.update(
        build_only="true",
        params_file=str(file),
        weights="/data/my weights.safetensors",
        build_options="--precision float32 --cache 'my engines'",
    )
    source = PythonLaunchDescriptionSource(str(LAUNCH / "fuse.launch.py"))
    entities = source.get_launch_description(context).entities
    for one in entities:
        if isinstance(one, DeclareLaunchArgument):
            one.execute(context)

    (build,) = entities[-1].execute(context)

    assert type(build) is ExecuteProcess
    words = ["".join(part.perform(context) for part in word) for word in build.cmd]
    assert words[1:] == [
        *("-m", "fusion_ros.cli.main", "build-engine", "--params", str(file)),
        *("--set", 'weights="/data/my weights.safetensors"'),
        *("--precision", "float32", "--cache", "my engines"),
    ]


def test_profile_of_the_user_has_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    from launch import LaunchContext
    from launch.actions import SetEnvironmentVariable
    from launch.launch_description_sources import PythonLaunchDescriptionSource

    monkeypatch.setenv(PROFILE_VARIABLES[1], "/etc/their.xml")
    source = PythonLaunchDescriptionSource(str(LAUNCH / "fuse.launch.py"))
    description = source.get_launch_description(LaunchContext())

    assert not [one for one in description.entities if isinstance(one, SetEnvironmentVariable)]


@pytest.mark.parametrize("thermal", ["lepton", "boson"])
def test_example_names_the_parameter_file_of_the_thermal_camera(thermal: str) -> None:
    from launch import LaunchContext

    path = LAUNCH / "examples" / "cameras.launch.py"
    spec = importlib.util.spec_from_file_location("cameras_launch", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    context = LaunchContext()
    context.launch_configurations["thermal"] = thermal
    for argument in module.ARGUMENTS:
        argument.execute(context)
    fuse, *drivers = module.started(context)
    file = Path(dict(fuse.launch_arguments)["params_file"])
    assert file.is_file()
    assert file.name.startswith(thermal)
    assert len(drivers) == 2
