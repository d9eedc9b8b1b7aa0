# SPDX-License-Identifier: Apache-2.0
"""Listener of the field benchmarks, and the processes of cameras and node."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fusion_ros.cli.processes import Processes, isolated_environment

CAMERAS_TIMEOUT_S = 300.0
SETTLING_S = 5.0
NODE = "fusion_ros.nodes.fuse.fuse_node"


class Listener:
    """Subscribe to fused image and status; record the arrival of each image by its stamp."""

    def __init__(self) -> None:
        import rclpy
        from fusion_ros.msg import FusionStatus
        from rclpy.executors import SingleThreadedExecutor
        from sensor_msgs.msg import Image

        from fusion_ros.nodes.runtime.process_tuning import tune_process
        from fusion_ros.nodes.runtime.subscription import image_quality

        tune_process()
        rclpy.init()
        self._rclpy = rclpy
        self.node = rclpy.create_node("bench_listener")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self.arrived_ns: dict[int, int] = {}
        self.fused = 0
        self.status: Any = None
        self.on_status: Callable[[Any], object] = lambda status: None
        self.on_image: Callable[[Any], object] = lambda message: None
        self.node.create_subscription(
            Image, "fused/image_raw", self._take, image_quality("reliable", depth=30)
        )
        self.node.create_subscription(FusionStatus, "fused/status", self._keep, 10)

    def spin_while(self, condition: Callable[[], bool]) -> None:
        """Handle events while the condition holds."""
        while condition() and self.node.context.ok():
            self._executor.spin_once(timeout_sec=0.1)

    def close(self) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        self._rclpy.try_shutdown()

    def _take(self, message: Any) -> None:
        stamp = message.header.stamp
        self.fused += 1
        self.arrived_ns[stamp.sec * 10**9 + stamp.nanosec] = time.monotonic_ns()
        self.on_image(message)

    def _keep(self, status: Any) -> None:
        self.status = status
        self.on_status(status)


class Field:
    """Context of cameras, node and listener on this machine.

    Args:
        folder: folder for logs, the cameras' record and the node's trace.
        parameters: parameters of the node.
        infer_ms: least duration of an inference, for a slower engine.
    """

    def __init__(
        self,
        folder: Path,
        parameters: Mapping[str, object],
        *,
        infer_ms: float = 0.0,
    ) -> None:
        self._folder = folder
        self._parameters = dict(parameters)
        self._infer_ms = infer_ms
        isolated = isolated_environment(dict(os.environ))
        os.environ.update(isolated)  # before the participant of this process is created
        self._environment = {**isolated, "FUSION_ROS_BENCH_INFER_MS": str(infer_ms)}
        self.trace_file = folder / "trace.csv"
        self.sent_file = folder / "sent.csv"

    def __enter__(self) -> Field:
        self._processes = Processes(self._environment, self._folder)
        self.listener = Listener()
        self.node = self._processes.start(
            "fuse_node",
            "benchmarks.field.slow_node" if self._infer_ms else NODE,
            {"trace_file": str(self.trace_file), **self._parameters},
        )
        return self

    def __exit__(self, *failure: object) -> None:
        self.exit_codes = self._processes.stop()
        self.listener.close()

    def run_cameras(
        self,
        *,
        seconds: float,
        rate_hz: float,
        size: str,
        reliability: str,
        more: Sequence[str] = (),
        meanwhile: Callable[[], object] = lambda: None,
    ) -> None:
        """Run the cameras to their end and wait until the node has no pending frame.

        Args:
            seconds: duration.
            rate_hz: frame rate of the cameras.
            size: WIDTHxHEIGHT of the images.
            reliability: reliability that the cameras offer.
            more: further options of `cameras`.
            meanwhile: function that is called repeatedly.

        Raises:
            RuntimeError: the cameras failed, or the node ended.
        """
        options = {"out": self.sent_file, "seconds": seconds, "rate": rate_hz, "size": size}
        options["reliability"] = reliability
        cameras = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.field.cameras"]
            + [f"--{name}={value}" for name, value in options.items()]
            + list(more),
            env=self._environment,
        )
        try:
            end_s = time.monotonic() + seconds + CAMERAS_TIMEOUT_S

            def is_running() -> bool:
                meanwhile()
                return (
                    cameras.poll() is None and self.node.poll() is None and time.monotonic() < end_s
                )

            self.listener.spin_while(is_running)
            if cameras.poll() != 0:
                log = self._processes.log("fuse_node").read_text(encoding="utf-8")
                raise RuntimeError(f"the cameras did not run; log of the node: {log[-2000:]}")
        finally:
            cameras.kill()
            cameras.wait()
        seen = self.listener.status
        # A frame without a partner may stay pending.
        end_s = time.monotonic() + SETTLING_S
        self.listener.spin_while(
            lambda: (
                (self.listener.status is seen or self.listener.status.visible_pending > 0)
                and time.monotonic() < end_s
            )
        )

    def sent(self) -> list[dict[str, int]]:
        """Return the cameras' record, one row for each pair."""
        return [{k: int(v) for k, v in row.items()} for row in _rows(self.sent_file)]

    def trace(self) -> list[dict[str, float]]:
        """Return the node's trace, one row for each fused image."""
        files = [self.trace_file.with_name(f"{self.trace_file.name}.{n}") for n in (4, 3, 2, 1)]
        rows = [row for f in [*files, self.trace_file] if f.exists() for row in _rows(f)]
        return [
            {k: int(v) if k.endswith("_ns") else float(v or 0) for k, v in row.items()}
            for row in rows
        ]


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
