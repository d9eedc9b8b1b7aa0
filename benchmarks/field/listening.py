# SPDX-License-Identifier: Apache-2.0
"""Rigs of cameras and a fuse node in processes of their own, and the listener to their images."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fusion_ros.cli.processes import Processes, isolated_environment

CAMERAS_TIMEOUT_S = 300.0
SETTLING_S = 5.0
NODE = "fusion_ros.nodes.fuse.fuse_node"
STREAMS = ("visible", "thermal")
FATES = ("fused", "held", "superseded", "unpaired", "late", "duplicate", "rejected", "pending")


def counts(status: Any, stream: str) -> dict[str, int]:
    """Return the received frames of a stream, those of each fate, and those without one."""
    found = {name: int(getattr(status, f"{stream}_{name}")) for name in ("received", *FATES)}
    return {**found, "without a fate": 2 * found["received"] - sum(found.values())}


class Listener:
    """Subscribes to fused image and status of a rig; records the arrival of images by stamp.

    Args:
        node: ROS node.
        name: namespace of the rig, "" for none.
        raw: whether images stay serialised, which needs less processor time.
    """

    def __init__(self, node: Any, name: str, raw: bool) -> None:
        from fusion_ros.msg import FusionStatus
        from sensor_msgs.msg import Image

        from fusion_ros.nodes.runtime.subscription import image_quality
        from fusion_ros.nodes.runtime.wire import read_image

        def take(message: Any) -> None:
            arrived_ns = time.monotonic_ns()
            header = read_image(message).header if raw else message.header
            stamp = header if raw else header.stamp
            self.arrived_ns[stamp.sec * 10**9 + stamp.nanosec] = arrived_ns
            self.on_image(message)

        def keep(status: Any) -> None:
            self.status = status
            self.on_status(status)

        self.arrived_ns: dict[int, int] = {}
        self.status: Any = None
        self.on_status: Callable[[Any], object] = lambda status: None
        self.on_image: Callable[[Any], object] = lambda message: None
        quality = image_quality("reliable", depth=30)
        node.create_subscription(Image, f"{name}/fused/image_raw", take, quality, raw=raw)
        node.create_subscription(FusionStatus, f"{name}/fused/status", keep, 10)


class Field:
    """Context of rigs and their listeners on this machine.

    Args:
        folder: folder for logs, the cameras' records and the nodes' traces.
        parameters: parameters of the nodes.
        infer_ms: least duration of an inference, for a slower engine.
        rigs: number; several have the namespaces rig0, rig1 ...
    """

    def __init__(
        self,
        folder: Path,
        parameters: Mapping[str, object],
        *,
        infer_ms: float = 0.0,
        rigs: int = 1,
    ) -> None:
        self._folder = folder
        self._parameters = dict(parameters)
        self._module = "benchmarks.field.slow_node" if infer_ms else NODE
        isolated = isolated_environment(dict(os.environ))
        os.environ.update(isolated)  # before the participant of this process is created
        self._environment = {**isolated, "FUSION_ROS_BENCH_INFER_MS": str(infer_ms)}
        self.names = [f"rig{n}" for n in range(rigs)] if rigs > 1 else [""]

    def __enter__(self) -> Field:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        from fusion_ros.nodes.runtime.process_tuning import tune_process

        self._processes = Processes(self._environment, self._folder)
        tune_process()
        rclpy.init()
        self._rclpy, self.ros = rclpy, rclpy.create_node("bench_listener")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.ros)
        self.listeners = [Listener(self.ros, name, len(self.names) > 1) for name in self.names]
        self.nodes = [
            self._processes.start(
                f"fuse_node{name}",
                self._module,
                {"trace_file": str(self._folder / f"trace{name}"), **self._parameters},
                arguments=("-r", f"__ns:=/{name}"),
            )
            for name in self.names
        ]
        self.listener, self.node = self.listeners[0], self.nodes[0]
        return self

    def __exit__(self, *failure: object) -> None:
        self.exit_codes = self._processes.stop()
        self._executor.shutdown()
        self.ros.destroy_node()
        self._rclpy.try_shutdown()

    def spin_while(self, condition: Callable[[], bool], seconds: float) -> None:
        """Handle events while the condition holds, for at most so many seconds."""
        end_s = time.monotonic() + seconds
        while condition() and time.monotonic() < end_s and self.ros.context.ok():
            self._executor.spin_once(timeout_sec=0.1)

    def run_cameras(
        self,
        *,
        seconds: float,
        rate_hz: float,
        size: tuple[int, int],
        meanwhile: Callable[[], object] = lambda: None,
        cameras: str = "benchmarks.field.cameras",
    ) -> None:
        """Run the cameras to their end and wait until no node has a pending frame.

        Args:
            seconds: duration.
            rate_hz: frame rate of the cameras.
            size: width and height of the images.
            meanwhile: function that is called repeatedly.
            cameras: module of their process.

        Raises:
            RuntimeError: the cameras failed, or a node ended.
        """
        command = [sys.executable, "-m", cameras]
        command += [f"--seconds={seconds}", f"--rate={rate_hz}", "--size={}x{}".format(*size)]
        processes = [
            subprocess.Popen(
                [*command, f"--out={self._sent(name)}", "--ros-args", "-r", f"__ns:=/{name}"],
                env=self._environment,
            )
            for name in self.names
        ]

        def is_running() -> bool:
            meanwhile()
            ended = any(node.poll() is not None for node in self.nodes)
            return not ended and any(camera.poll() is None for camera in processes)

        try:
            self.spin_while(is_running, seconds + CAMERAS_TIMEOUT_S)
            if any(camera.poll() != 0 for camera in processes):
                log = self._processes.log(f"fuse_node{self.names[0]}").read_text(encoding="utf-8")
                raise RuntimeError(f"the cameras did not run; log of the node: {log[-2000:]}")
        finally:
            for camera in processes:
                camera.kill()
                camera.wait()
        seen = [listener.status for listener in self.listeners]
        # A frame without a partner may stay pending.
        self.spin_while(
            lambda: any(
                listener.status is before or listener.status.visible_pending > 0
                for listener, before in zip(self.listeners, seen, strict=True)
            ),
            SETTLING_S,
        )

    def sent(self, name: str = "") -> list[dict[str, int]]:
        """Return the record of a rig's cameras, one row for each pair."""
        return [{k: int(v) for k, v in row.items()} for row in _rows(self._sent(name))]

    def trace(self) -> list[dict[str, float]]:
        """Return the first node's trace, one row for each fused image."""
        file = self._folder / f"trace{self.names[0]}"
        files = [file.with_name(f"{file.name}.{n}") for n in (4, 3, 2, 1)]
        return [
            {k: int(v) if k.endswith("_ns") else float(v or 0) for k, v in row.items()}
            for part in [*files, file]
            if part.exists()
            for row in _rows(part)
        ]

    def _sent(self, name: str) -> Path:
        return self._folder / f"sent{name}"


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
