# SPDX-License-Identifier: Apache-2.0
"""Real DDS, limited to this machine, with one domain for each test process."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# Before the first participant is created. The domain separates test runs on one machine.
os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
os.environ.setdefault("ROS_LOCALHOST_ONLY", "1")
os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))

rclpy = pytest.importorskip("rclpy", reason="rclpy is not installed")

from fusion_ros.nodes.runtime.dds_profile import profile_settings  # noqa: E402

os.environ.update(profile_settings(os.environ))


class RosSide:
    """Nodes of a test, and the executor that spins them one event at a time."""

    def __init__(self, executor_class: type | None = None) -> None:
        from rclpy.executors import SingleThreadedExecutor

        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.executor = (executor_class or SingleThreadedExecutor)(context=self.context)
        self._nodes: list[Any] = []

    def add(self, node: Any) -> Any:
        """Spin this node from now on, and destroy it at the end."""
        self.executor.add_node(node)
        self._nodes.append(node)
        return node

    def node(self, name: str) -> Any:
        """Create a plain node."""
        return self.add(rclpy.create_node(name, context=self.context))

    def spin_until(
        self,
        condition: Callable[[], bool],
        what: str | Callable[[], str],
        timeout_s: float = 20.0,
    ) -> None:
        """Handle events until the condition holds; the timeout is for failures only.

        `what` describes the condition; a callable is evaluated at the time of the failure.
        """
        import time

        end_s = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > end_s:
                text = what() if callable(what) else what
                pytest.fail(f"not within {timeout_s} s: {text}")
            self.executor.spin_once(timeout_sec=0.05)

    def destroy(self, node: Any) -> None:
        """Destroy a node before the end."""
        self._nodes.remove(node)
        self.executor.remove_node(node)
        _destroy(node)

    def close(self) -> None:
        self.executor.shutdown()
        while self._nodes:
            _destroy(self._nodes.pop())
        self.context.try_shutdown()
        self.context.destroy()


def _destroy(node: Any) -> None:
    if hasattr(node, "release"):
        node.release()
    node.destroy_node()


@pytest.fixture
def ros() -> Iterator[RosSide]:
    """Create a context with an executor."""
    side = RosSide()
    yield side
    side.close()


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return untrained weights, for tests that do not depend on the images."""
    from fusion_ros.model.config import PRESETS
    from fusion_ros.model.network import FusionNet
    from fusion_ros.model.weights import save_weights

    path = tmp_path_factory.mktemp("weights") / "untrained.safetensors"
    save_weights(path, FusionNet(PRESETS["compact"]), training_data="none", metrics={}, version="0")
    return path


@pytest.fixture
def launch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Start a launch file; after the test all of its processes end."""
    from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
    from launched import Launched

    if not os.environ.get("AMENT_PREFIX_PATH"):  # wheels
        monkeypatch.setenv("AMENT_PREFIX_PATH", sys.prefix)
    try:
        get_package_share_directory("fusion_ros")
    except (PackageNotFoundError, OSError) as error:
        pytest.skip(f"fusion_ros is not installed where ament looks: {error}")
    running: list[Launched] = []

    def start(file: str | Path, **arguments: str) -> Launched:
        running.append(Launched(file, arguments, tmp_path / f"launch{len(running)}.log"))
        return running[-1]

    yield start
    for one in running:
        one.kill()
