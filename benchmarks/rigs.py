# SPDX-License-Identifier: Apache-2.0
"""Measure several rigs on one machine: a fuse node and a pair of cameras for each.

    python -m benchmarks.rigs [--rigs 1 2 4] [--rates 30] [--seconds 12] [--json FILE]

Nodes and cameras are processes of their own, all on the cores of this machine; this process
subscribes to all fused images. The latency is from the publish of a pair's later frame to the
arrival of the fused image. Memory is the proportional set size (PSS), in which pages that several
processes share count once. Exit code 1 if a frame is in no count of its node.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import rclpy
from fusion_ros.msg import FusionStatus
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Image

from benchmarks.field.listening import NODE
from benchmarks.load import LoadWatch
from benchmarks.report.tables import Target, ms, report
from fusion_ros.cli.argument_types import image_size
from fusion_ros.cli.processes import Processes, isolated_environment
from fusion_ros.nodes.runtime.subscription import image_quality
from fusion_ros.nodes.runtime.wire import read_image
from fusion_ros.streams.series import percentiles

SETTLING_S = 3.0
LIMIT_S = 120.0
FATES = ("fused", "held", "superseded", "unpaired", "late", "duplicate", "rejected", "pending")


class Rig:
    """Topics of one rig: arrival of its fused images by stamp, and its newest status."""

    def __init__(self, node: Any, name: str) -> None:
        self.name = name
        self.arrived_ns: dict[int, int] = {}
        self.status: Any = None
        quality = image_quality("reliable", depth=30)
        node.create_subscription(Image, f"/{name}/fused/image_raw", self._take, quality, raw=True)
        node.create_subscription(FusionStatus, f"/{name}/fused/status", self._keep, 10)

    def _take(self, serialized: bytes) -> None:
        header = read_image(serialized).header
        self.arrived_ns[header.sec * 10**9 + header.nanosec] = time.monotonic_ns()

    def _keep(self, status: Any) -> None:
        self.status = status


@contextlib.contextmanager
def started(folder: Path, count: int, size: tuple[int, int]) -> Iterator[tuple[Any, ...]]:
    """Start `count` fuse nodes; yield them, their rigs, and the executor of the subscriptions."""
    rclpy.init()
    node = rclpy.create_node("bench_listener")
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    rigs = [Rig(node, f"rig{number}") for number in range(count)]
    parameters = {"warm_up_width": size[0], "warm_up_height": size[1]}
    try:
        with Processes(os.environ, folder) as processes:
            nodes = [
                processes.start(r.name, NODE, parameters, arguments=("-r", f"__ns:=/{r.name}"))
                for r in rigs
            ]
            yield nodes, rigs, executor
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()


def measure(count: int, rate_hz: float, args: argparse.Namespace) -> tuple[list[str], int]:
    """Run `count` rigs at one rate; return the table's row and the frames without a fate."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with started(folder, count, args.size) as (nodes, rigs, executor):
            watch = LoadWatch()
            cameras = [_start_cameras(folder, rig.name, rate_hz, args) for rig in rigs]
            end_s = time.monotonic() + args.seconds + LIMIT_S
            try:
                while any(c.poll() is None for c in cameras) and time.monotonic() < end_s:
                    executor.spin_once(timeout_sec=0.1)
                settled_s = time.monotonic() + SETTLING_S
                while time.monotonic() < settled_s:
                    executor.spin_once(timeout_sec=0.1)
                pss_mb = [_pss_mb(node.pid) for node in nodes]
            finally:
                for camera in cameras:
                    camera.kill()
                    camera.wait()
        return _evaluate(folder, rigs, rate_hz, pss_mb, watch.others_percent())


def _start_cameras(folder: Path, name: str, rate_hz: float, args: argparse.Namespace) -> Any:
    size = "{}x{}".format(*args.size)
    options = {"out": folder / name, "seconds": args.seconds, "rate": rate_hz, "size": size}
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.field.cameras"]
        + [f"--{key}={value}" for key, value in options.items()]
        + ["--ros-args", "-r", f"__ns:=/{name}"]
    )


def _evaluate(
    folder: Path, rigs: list[Rig], rate_hz: float, pss_mb: list[float], others: float | None
) -> tuple[list[str], int]:
    latencies_ms, published, received, fused, superseded, uncounted = [], 0, 0, 0, 0, 0
    for rig in rigs:
        with (folder / rig.name).open(newline="", encoding="utf-8") as file:
            sent = {int(r["stamp_ns"]): int(r["thermal_sent_ns"]) for r in csv.DictReader(file)}
        came = rig.arrived_ns
        latencies_ms += [(came[stamp] - sent[stamp]) / 1e6 for stamp in came if stamp in sent]
        published += len(sent)
        for stream in ("visible", "thermal"):
            counts = {fate: getattr(rig.status, f"{stream}_{fate}") for fate in FATES}
            uncounted += getattr(rig.status, f"{stream}_received") - sum(counts.values())
        received += rig.status.visible_received
        fused += rig.status.visible_fused
        superseded += rig.status.visible_superseded
    p50, p99 = percentiles(latencies_ms, (50, 99))
    row = [
        f"{len(rigs)}",
        f"{rate_hz:g}",
        f"{published}",
        f"{published - received}",
        f"{fused} ({100 * fused / published:.1f} %)",
        f"{superseded}",
        f"{ms(p50)} / {ms(p99)}",
        f"{sum(pss_mb):.0f} ({sum(pss_mb) / len(rigs):.0f})",
        "-" if others is None else f"{others:.0f} %",
    ]
    return row, uncounted


def _pss_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return int(text.split("\nPss:")[1].split()[0]) / 1024


def main() -> int:
    """Run and print; see the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rigs", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--rates", type=float, nargs="+", default=[30.0])
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--size", type=image_size, default="640x512", metavar="WIDTHxHEIGHT")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    os.environ.update(isolated_environment(dict(os.environ)))
    found = [measure(count, rate, args) for count in args.rigs for rate in args.rates]
    uncounted = sum(number for _, number in found)
    return report(
        args.json,
        "Several rigs on one machine, {}x{}, rgb8 and mono16".format(*args.size),
        [
            "rigs", "rate, Hz", "pairs sent", "lost before the node", "fused", "superseded",
            "latency p50 / p99, ms", "memory of all nodes (each), MB", "taken by others",
        ],
        [row for row, _ in found],
        notes=["A node, a process of cameras for each rig, and one subscriber of all images."],
        targets=[Target("no frame without a fate", str(uncounted), not uncounted)],
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
