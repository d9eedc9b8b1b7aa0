# SPDX-License-Identifier: Apache-2.0
"""A launch file in a process of its own, as `ros2 launch` runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lifecycle_msgs.srv import GetState

from fusion_ros.nodes.runtime.dds_profile import PROFILE_VARIABLES

LAUNCH = Path(__file__).resolve().parents[2] / "launch"
MARK = "FUSION_ROS_TEST_LAUNCH"
# What `ros2 launch` does; that command may be missing where launch_ros is not.
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


class Launched:
    """A running launch file, and all processes that it started."""

    def __init__(self, file: str | Path, arguments: dict[str, str], log: Path) -> None:
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
        """Return the output of the launch and its nodes so far."""
        return self._log.read_text(errors="replace")

    def environments(self) -> dict[str, dict[str, str]]:
        """Return executable -> environment of every node of this launch that runs now."""
        return {name: environment for name, _, environment in self._nodes()}

    def processes(self) -> list[int]:
        """Return the process ids of the nodes that run now."""
        return [number for _, number, _ in self._nodes()]

    def _nodes(self) -> Iterator[tuple[str, int, dict[str, str]]]:
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                items = (folder / "environ").read_bytes().split(b"\0")
                command = (folder / "cmdline").read_bytes().decode().split("\0")
            except OSError:  # ended between the two looks
                continue
            environment = dict(item.decode().split("=", 1) for item in items if b"=" in item)
            stubs = [Path(word).name for word in command if "/lib/fusion_ros/" in word]
            if environment.get(MARK) == self._mark and stubs:
                yield stubs[0], int(folder.name), environment

    def interrupt(self) -> int:
        """Press Ctrl-C and return the exit code."""
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


def wait_until_active(ros: Any, node: Any, name: str, launched: Launched) -> None:
    """Wait until the lifecycle node `name` is active."""
    client = node.create_client(GetState, f"{name}/get_state")
    state = ""

    def active() -> bool:
        nonlocal state
        assert launched.process.poll() is None, f"the launch ended:\n{launched.text()}"
        if client.service_is_ready():
            state = response(ros, client, GetState.Request()).current_state.label
        return state == "active"

    ros.spin_until(active, f"{name} is active", timeout_s=120.0)


def response(ros: Any, client: Any, request: Any) -> Any:
    """Return the response of a service."""
    future = client.call_async(request)
    ros.spin_until(future.done, f"{client.srv_name} answers", timeout_s=120.0)
    return future.result()
