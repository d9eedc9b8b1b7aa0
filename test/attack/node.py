# SPDX-License-Identifier: Apache-2.0
"""A live fuse node in a process of its own, with cameras and a listener in this one."""

from __future__ import annotations

import array
import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from attack.trial import Tally, wait_until
from benchmarks.field.listening import NODE
from fusion_ros.cli.processes import Processes, isolated_environment

FATES = ("fused", "held", "superseded", "unpaired", "late", "duplicate", "rejected", "pending")
SMALL = {"warm_up_width": 64, "warm_up_height": 48, "engine": "torch"}
START_S = 60.0


class LiveNode:
    """A context: the node, cameras that publish pairs of 64x48, statuses and fused images.

    Args:
        tally: whose folder has the logs, and which takes breaches.
        parameters: of the node.
    """

    def __init__(self, tally: Tally, parameters: Mapping[str, object] = SMALL) -> None:
        os.environ.update(isolated_environment(os.environ))
        import rclpy
        from fusion_ros.msg import FusionStatus
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.qos import qos_profile_sensor_data
        from rclpy.signals import SignalHandlerOptions
        from sensor_msgs.msg import Image

        self._rclpy = rclpy
        self._tally = tally
        self._parameters = dict(parameters)
        self._context = rclpy.Context()
        rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self.node = rclpy.create_node("attacker", context=self._context)
        self.cameras = {
            kind: self.node.create_publisher(Image, f"{kind}/image_raw", qos_profile_sensor_data)
            for kind in ("visible", "thermal")
        }
        self.fused = 0
        self.status: Any = None
        self.unbalanced: list[str] = []
        self.node.create_subscription(Image, "fused/image_raw", self._count, 20)
        self.node.create_subscription(FusionStatus, "fused/status", self._keep, 20)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._open = True
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()
        self._clients: dict[str, Any] = {}
        self._starts = 0
        self._frame = 0
        self._log_read = 0

    def __enter__(self) -> LiveNode:
        self.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self.stop()
        self._open = False
        self._thread.join(5)
        self._executor.shutdown()
        self.node.destroy_node()
        self._rclpy.try_shutdown(context=self._context)

    def start(self) -> None:
        """Start the node and wait until it has subscribed.

        Raises:
            RuntimeError: it did not.
        """
        self._starts += 1
        name = f"node_{self._starts}"
        self._log_read = 0
        self.status = None
        self._processes = Processes(os.environ, self._tally.folder)
        self.process: subprocess.Popen[bytes] = self._processes.start(name, NODE, self._parameters)
        self.log = self._processes.log(name)
        cameras = self.cameras.values()
        ready = wait_until(
            lambda: not self.is_alive or all(camera.get_subscription_count() for camera in cameras),
            START_S,
        )
        if not (ready and self.is_alive):
            raise RuntimeError(f"the node did not start: {self.log_text()[-500:]}")

    def stop(self) -> None:
        """End it as a user does, and note a traceback, a hang or an unclean end."""
        codes = self._processes.stop()
        self.look("stopping the node")
        for name, code in codes.items():
            if code not in (0, -9):
                self._tally.breach("death", f"stopping {name}", f"exit code {code}")
            elif code == -9 and not getattr(self, "killed", False):
                self._tally.breach("hang", f"stopping {name}", "SIGINT and SIGTERM had no effect")

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    def log_text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="backslashreplace")

    def look(self, what: str) -> bool:
        """Note a traceback in the log since the last look, and a death, after which it restarts."""
        self._log_read = self._tally.check_log(self.log, what, self._log_read)
        for text in self.unbalanced[:1]:
            self._tally.breach("silent", what, f"status does not balance: {text}")
        self.unbalanced.clear()
        return self.is_alive

    def revive(self, what: str) -> None:
        """Start it again where it died, and note the death."""
        if not self.look(what):
            code = self.process.returncode
            self._tally.breach("death", what, f"exit code {code}\n{self.log_text()[-800:]}")
            self.start()

    def call(self, kind: Any, service: str, request: Any, seconds: float = 10.0) -> Any:
        """The answer of a service, or None where none came in time."""
        if service not in self._clients:
            self._clients[service] = self.node.create_client(kind, service)
        client = self._clients[service]
        if not wait_until(lambda: client.service_is_ready() or not self.is_alive, seconds):
            return None
        future = client.call_async(request)
        wait_until(lambda: future.done() or not self.is_alive, seconds, 0.001)
        return future.result() if future.done() else None

    def fuses(self, seconds: float = 15.0) -> bool:
        """Send pairs until a fused image comes; False where none does."""
        before = self.fused

        def step() -> bool:
            self.send_pair()
            time.sleep(0.03)
            return self.fused > before or not self.is_alive

        return wait_until(step, seconds) and self.is_alive

    def activate(self) -> None:
        """Activate the node, where it is not active."""
        from lifecycle_msgs.msg import Transition
        from lifecycle_msgs.srv import ChangeState

        request = ChangeState.Request()
        request.transition.id = Transition.TRANSITION_ACTIVATE
        self.call(ChangeState, "/fuse_node/change_state", request)

    def send_pair(self) -> None:
        """Publish a pair of one stamp, whose pictures change from pair to pair."""
        from sensor_msgs.msg import Image

        self._frame += 1
        rng = np.random.default_rng(self._frame)
        stamp_ns = time.time_ns()
        for kind, shape, encoding in (
            ("visible", (48, 64, 3), "rgb8"),
            ("thermal", (48, 64), "mono8"),
        ):
            pixels = rng.integers(0, 256, shape, np.uint8)
            message = Image(height=48, width=64, encoding=encoding, step=64 * (pixels.ndim * 2 - 3))
            message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
            message.data = array.array("B", pixels.tobytes())
            self.cameras[kind].publish(message)

    def _spin(self) -> None:
        while self._open:
            self._executor.spin_once(0.05)

    def _count(self, message: Any) -> None:
        self.fused += 1

    def _keep(self, status: Any) -> None:
        self.status = status
        for stream in ("visible", "thermal"):
            total = sum(getattr(status, f"{stream}_{fate}") for fate in FATES)
            received = getattr(status, f"{stream}_received")
            if total != received:
                self.unbalanced.append(f"{stream}: {received} received, {total} in fates")


def start_viewer(folder: Path, number: int, reliability: str = "reliable") -> subprocess.Popen:
    """A subscriber of the fused image in a process of its own, once it has subscribed."""
    import sys

    log = folder / f"viewer_{number}.log"
    with log.open("wb") as file:
        viewer = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("viewer.py")), reliability],
            env=os.environ,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    subscribed: Callable[[], bool] = lambda: "subscribed" in log.read_text(encoding="utf-8")  # noqa: E731
    wait_until(lambda: subscribed() or viewer.poll() is not None, START_S)
    return viewer
