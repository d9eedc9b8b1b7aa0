# SPDX-License-Identifier: Apache-2.0
"""The launch files, really launched: in a process of their own, over real DDS."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("launch_ros", reason="launch_ros is not installed (it has no wheels)")
pytestmark = [pytest.mark.ros, pytest.mark.slow]

from ament_index_python.packages import (  # noqa: E402
    PackageNotFoundError,
    get_package_share_directory,
)
from lifecycle_msgs.srv import GetState  # noqa: E402
from rcl_interfaces.srv import GetParameters  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402

from fusion_ros.nodes.runtime.dds_profile import PROFILE_VARIABLES  # noqa: E402

LAUNCH = Path(__file__).resolve().parents[2] / "launch"
MARK = "FUSION_ROS_TEST_LAUNCH"
# `ros2 launch` in so many words; that command itself may be missing where launch_ros is not.
RUN = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
file, *arguments = sys.argv[1:]
service = LaunchService()
service.include_launch_description(LaunchDescription([IncludeLaunchDescription(
    PythonLaunchDescriptionSource(file),
    launch_arguments=[tuple(argument.split(":=", 1)) for argument in arguments])]))
sys.exit(service.run())
"""


@pytest.fixture(autouse=True)
def installed_package() -> None:
    """ros2 launch finds executables through the ament index."""
    try:
        get_package_share_directory("fusion_ros")
    except (PackageNotFoundError, OSError) as error:
        pytest.skip(f"fusion_ros is not installed where ament looks: {error}")


class Launched:
    """A running launch file, and all processes that it started."""

    def __init__(self, file: str, arguments: dict[str, str], log: Path) -> None:
        self._mark = uuid.uuid4().hex
        self._log = log
        command = [f"{name}:={value}" for name, value in arguments.items()]
        environment = {
            name: value for name, value in os.environ.items() if name not in PROFILE_VARIABLES
        }
        environment |= {MARK: self._mark, "ROS_LOG_DIR": str(log.parent)}
        with log.open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-c", RUN, str(LAUNCH / file), *command],
                env=environment,
                cwd=log.parent,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def text(self) -> str:
        """What the launch and its nodes have said so far."""
        return self._log.read_text(errors="replace")

    def environments(self) -> dict[str, dict[str, str]]:
        """Executable -> environment, of every node of this launch that runs now."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                items = (folder / "environ").read_bytes().split(b"\0")
                command = (folder / "cmdline").read_bytes().decode().split("\0")
            except OSError:  # ended between the two looks
                continue
            environment = dict(item.decode().split("=", 1) for item in items if b"=" in item)
            stubs = [Path(word).name for word in command if "/lib/fusion_ros/" in word]
            if environment.get(MARK) == self._mark and stubs:
                found[stubs[0]] = environment
        return found

    def interrupt(self) -> int:
        """Ctrl-C; returns the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=30)

    def kill(self) -> None:
        """Kill the remaining processes, after a failure."""
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                mine = f"{MARK}={self._mark}".encode() in (folder / "environ").read_bytes()
            except OSError:
                continue
            if mine:
                os.kill(int(folder.name), signal.SIGKILL)
        self.process.wait(timeout=10)


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Launched]]:
    """Starts a launch file; ends it after the test, orphans included."""
    running: list[Launched] = []

    def start(file: str, **arguments: str) -> Launched:
        running.append(Launched(file, arguments, tmp_path / f"launch{len(running)}.log"))
        return running[-1]

    yield start
    for one in running:
        one.kill()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained weights: what a launch file does depends on no training."""
    from fusion_ros.model.config import PRESETS
    from fusion_ros.model.network import FusionNet
    from fusion_ros.model.weights import save_weights

    path = tmp_path_factory.mktemp("weights") / "untrained.safetensors"
    net = FusionNet(PRESETS["compact"])
    save_weights(path, net, training_data="none", metrics={}, version="test")
    return path


def wait_until_active(ros: Any, node: Any, name: str, launched: Launched) -> None:
    """Until the lifecycle node `name` says that it is active."""
    client = node.create_client(GetState, f"{name}/get_state")
    state = ""

    def active() -> bool:
        nonlocal state
        assert launched.process.poll() is None, f"the launch ended:\n{launched.text()}"
        if client.service_is_ready():
            state = ask(ros, client, GetState.Request()).current_state.label
        return state == "active"

    ros.spin_until(active, f"{name} is active", timeout_s=120.0)


def ask(ros: Any, client: Any, request: Any) -> Any:
    """The answer of a service."""
    future = client.call_async(request)
    ros.spin_until(future.done, f"{client.srv_name} answers")
    return future.result()


def test_the_node_starts_under_its_names_and_stops_on_ctrl_c(
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
    answer = ask(ros, client, GetParameters.Request(names=names))
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
    assert environment[PROFILE_VARIABLES[0]].endswith("fastdds_shm.xml")

    assert launched.interrupt() == 0, launched.text()
    assert launched.environments() == {}
    assert "Traceback" not in launched.text()


def test_synthetic_cameras_are_fused(
    ros: Any, launch: Callable[..., Launched], weights: Path
) -> None:
    launched = launch(
        "fuse.launch.py", synthetic_cameras="true", engine="torch", weights=str(weights)
    )
    observer = ros.node("observer")
    fused: list[Image] = []
    observer.create_subscription(Image, "fused/image_raw", fused.append, 5)

    ros.spin_until(lambda: len(fused) >= 3, "three fused images came", timeout_s=120.0)

    assert set(launched.environments()) == {"fuse_node", "synthetic_camera"}
    assert launched.interrupt() == 0, launched.text()
    assert launched.environments() == {}


def test_the_demo_ends_by_itself_with_its_files(
    launch: Callable[..., Launched], weights: Path, tmp_path: Path
) -> None:
    out = tmp_path / "demo"
    names = {"visible_topic": "/mast/rgb", "thermal_topic": "lepton/raw", "fused_namespace": "both"}
    launched = launch("demo.launch.py", out=str(out), seconds="3.0", weights=str(weights), **names)

    assert launched.process.wait(timeout=120) == 0, launched.text()

    assert json.loads((out / "summary.json").read_text())["frames_fused"]["visible"] > 0
    assert (out / "side_by_side.png").is_file(), launched.text()
    assert launched.environments() == {}


def test_a_demo_whose_node_dies_fails_at_once(launch: Callable[..., Launched]) -> None:
    launched = launch("demo.launch.py", weights="/nowhere.safetensors")

    assert launched.process.wait(timeout=120) == 1, launched.text()

    assert "fuse_node-1 ended with exit code 1" in launched.text()
    assert launched.environments() == {}


def test_a_replay_that_could_not_run_fails_the_launch(launch: Callable[..., Launched]) -> None:
    launched = launch("replay.launch.py", bag="/nowhere.mcap")

    assert launched.process.wait(timeout=120) == 1, launched.text()

    assert "/nowhere.mcap does not exist" in launched.text()
    assert "replay-1 ended with exit code 2" in launched.text()


def test_a_value_that_is_no_choice_is_refused(launch: Callable[..., Launched]) -> None:
    launched = launch("fuse.launch.py", preset="enormous")

    assert launched.process.wait(timeout=60) != 0
    assert "preset" in launched.text()
    assert "compact" in launched.text()


@pytest.mark.parametrize("build_only", ["true", "false"])
def test_a_parameter_file_that_is_not_there_starts_nothing(
    build_only: str, launch: Callable[..., Launched]
) -> None:
    launched = launch("fuse.launch.py", params_file="~/mine.yaml", build_only=build_only)

    assert launched.process.wait(timeout=60) == 1
    assert "params_file is '~/mine.yaml', which is no file" in launched.text()
    assert "process started" not in launched.text()


@pytest.mark.skipif(
    importlib.util.find_spec("tensorrt") is not None, reason="TensorRT is installed here"
)
@pytest.mark.parametrize("file", ["fuse.launch.py", "detect.launch.py"])
def test_a_build_that_cannot_begin_ends_the_launch_with_its_reason_and_a_code(
    file: str, launch: Callable[..., Launched], weights: Path
) -> None:
    launched = launch(file, build_only="true", weights=str(weights))

    assert launched.process.wait(timeout=120) == 1, launched.text()

    assert "TensorRT is not installed" in launched.text()
    assert "build_engine-1 ended with exit code 2" in launched.text()
    assert "fuse_node" not in launched.text()
    assert "no detector" not in launched.text()


def test_a_build_that_ends_well_ends_the_launch_well(launch: Callable[..., Launched]) -> None:
    # A build command that ends with 0 where there is no TensorRT.
    launched = launch("fuse.launch.py", build_only="true", build_options="--help")

    assert launched.process.wait(timeout=120) == 0, launched.text()

    assert "usage: fusion-ros build-engine" in launched.text()
    assert "fuse_node" not in launched.text()


def test_the_engine_is_built_for_what_the_node_would_be_given(tmp_path: Path) -> None:
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


def test_a_profile_of_the_users_own_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from launch import LaunchContext
    from launch.actions import SetEnvironmentVariable
    from launch.launch_description_sources import PythonLaunchDescriptionSource

    monkeypatch.setenv(PROFILE_VARIABLES[1], "/etc/their.xml")
    source = PythonLaunchDescriptionSource(str(LAUNCH / "fuse.launch.py"))
    description = source.get_launch_description(LaunchContext())

    assert not [one for one in description.entities if isinstance(one, SetEnvironmentVariable)]
