# SPDX-License-Identifier: Apache-2.0
"""Measure rates, ages and costs of the node's outputs beside a slower thermal camera.

    python -m benchmarks.outputs [--seconds 10] [--rounds 3] [--size 640x512] [--json FILE]

Two synthetic cameras (30 and 9 Hz), the node and this subscriber are four processes that
communicate over DDS with the shipped profile. Each output is subscribed to in turn, and the fused
image alone before each. The cost of an output is the node's processor time for each fused image,
all threads together, minus that of the fused image alone before it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import rclpy
from fusion_ros.msg import FusionStatus, ThermalSpots
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import CompressedImage, Image

from benchmarks.field.listening import NODE
from benchmarks.tables import report
from fusion_ros.cli.argument_types import image_size
from fusion_ros.cli.processes import Processes, isolated_environment
from fusion_ros.nodes.runtime.process_tuning import tune_process
from fusion_ros.nodes.runtime.subscription import image_quality

CAMERA = "fusion_ros.nodes.synthetic_camera"
FUSED = "fused/image_raw"
VISIBLE_HZ, THERMAL_HZ = 30.0, 9.0
OUTPUTS: dict[str, type] = {
    "fused/image_raw/compressed": CompressedImage,
    "fused/overlay": Image,
    "thermal_registered/image_raw": Image,
    "thermal_registered/temperature": Image,
    "thermal/spots": ThermalSpots,
}
PARAMETERS = {
    "tone_unit": "centikelvin",
    "spots_mode": "above_median",
    "spots_limit": 8.0,
    "registration_mode": "homography",
}
CALIBRATION = """fusion_ros_calibration: 1
homography:
  thermal_to_visible: [[0.85, -0.018, 72.0], [0.018, 0.85, 18.0], [0.0, 0.0, 1.0]]
  thermal_size: [{width}, {height}]
  visible_size: [{width}, {height}]
"""
STARTING_S, SETTLING_S = 60.0, 2.0


class Window(NamedTuple):
    """Rates and cost while a set of topics was subscribed to."""

    fused_hz: float
    output_hz: float
    processor_ms: float
    """For each fused image."""


class Bench:
    """The subscriber's node."""

    def __init__(self, pid: int) -> None:
        self._stat = Path(f"/proc/{pid}/stat")
        self._node = rclpy.create_node("bench_subscriber")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._set = self._node.create_client(SetParameters, "/fuse_node/set_parameters")
        self.status: Any = None
        self._node.create_subscription(FusionStatus, "fused/status", self._keep, 10)
        self.fused = self._counted(FUSED, Image)[0]

    def window(self, topic: str | None, seconds: float) -> Window:
        """Measure for `seconds` while subscribed to a topic beside the fused image."""
        counted, subscription = self._counted(topic, OUTPUTS[topic]) if topic else ([0], None)
        self.spin(SETTLING_S)
        before = self.fused[0], counted[0], self._processor_s(), time.monotonic()
        self.spin(seconds)
        fused, came = self.fused[0] - before[0], counted[0] - before[1]
        used_s, took_s = self._processor_s() - before[2], time.monotonic() - before[3]
        if subscription is not None:
            self._node.destroy_subscription(subscription)
        return Window(fused / took_s, came / took_s, 1e3 * used_s / max(fused, 1))

    def set_hold(self, milliseconds: float) -> None:
        """Set `thermal_hold_ms`."""
        value = ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=milliseconds)
        parameters = [Parameter(name="thermal_hold_ms", value=value)]
        future = self._set.call_async(SetParameters.Request(parameters=parameters))
        self._executor.spin_until_future_complete(future, STARTING_S)

    def spin(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Handle events."""
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s and not until():
            self._executor.spin_once(timeout_sec=0.05)

    def _counted(self, topic: str, kind: type) -> tuple[list[int], Any]:
        count = [0]

        def take(serialized: bytes) -> None:
            count[0] += 1

        quality = image_quality("reliable", depth=30)
        return count, self._node.create_subscription(kind, topic, take, quality, raw=True)

    def _keep(self, status: Any) -> None:
        self.status = status

    def _processor_s(self) -> float:
        user, system = self._stat.read_text(encoding="ascii").rsplit(")", 1)[1].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def measure(bench: Bench, seconds: float, rounds: int) -> dict[str, list[tuple[Window, Window]]]:
    """Return pairs of windows by topic: the fused image alone, then the topic beside it."""
    found: dict[str, list[tuple[Window, Window]]] = {topic: [] for topic in OUTPUTS}
    for _ in range(rounds):
        for topic in OUTPUTS:
            found[topic].append((bench.window(None, seconds), bench.window(topic, seconds)))
    return found


def main() -> int:
    """Run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a window")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=image_size, default="640x512", metavar="WIDTHxHEIGHT")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    args = parser.parse_args()
    width, height = args.size
    environment = isolated_environment(dict(os.environ))
    os.environ.update(environment)  # before the participant of this process is created
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder, Processes(environment, Path(folder)) as started:
        file = Path(folder) / "rig.yaml"
        file.write_text(CALIBRATION.format(width=width, height=height), encoding="utf-8")
        sizes = {"width": width, "height": height}
        started.start("visible", CAMERA, {"modality": "visible", "rate_hz": VISIBLE_HZ, **sizes})
        started.start("thermal", CAMERA, {"modality": "thermal", "rate_hz": THERMAL_HZ, **sizes})
        parameters = {**PARAMETERS, "registration_calibration_file": str(file)}
        node = started.start("fuse_node", NODE, parameters)
        tune_process()
        rclpy.init()
        bench = Bench(node.pid)
        bench.spin(STARTING_S, lambda: bench.fused[0] > 0 and bench.status is not None)
        if not bench.fused[0]:
            print(started.log("fuse_node").read_text(encoding="utf-8")[-2000:], file=sys.stderr)
            return 1
        bench.set_hold(0.0)
        without_hold = bench.window(None, args.seconds)
        bench.set_hold(-1.0)
        found = measure(bench, args.seconds, args.rounds)
        status = bench.status
        rclpy.try_shutdown()
    alone = [before for pairs in found.values() for before, _ in pairs]
    costs = [window.processor_ms for window in alone]
    rows = [
        [f"`{FUSED}`, `thermal_hold_ms` 0", f"{without_hold.fused_hz:.1f}", "", ""],
        [
            f"`{FUSED}`",
            f"{statistics.median(window.fused_hz for window in alone):.1f}",
            "",
            f"{statistics.median(costs):.2f} ({min(costs):.2f} to {max(costs):.2f})",
        ],
    ]
    for topic, pairs in found.items():
        more = [beside.processor_ms - before.processor_ms for before, beside in pairs]
        rows.append(
            [
                f"and `{topic}`",
                f"{statistics.median(beside.fused_hz for _, beside in pairs):.1f}",
                f"{statistics.median(beside.output_hz for _, beside in pairs):.1f}",
                f"+{statistics.median(more):.2f} ({min(more):.2f} to {max(more):.2f})",
            ]
        )
    notes = (
        f"{width}x{height} rgb8 at {VISIBLE_HZ:g} Hz and mono16 in centikelvin at {THERMAL_HZ:g} "
        f"Hz, registered by a homography, {status.engine} in {status.precision}. Median of "
        f"{args.rounds} windows of {args.seconds:g} s, lowest and highest in brackets. Age of held "
        f"thermal frames: {status.held_age_ms_p50:.1f} ms p50, {status.held_age_ms_p95:.1f} p95. "
        f"Load average before: {load:.1f}."
    )
    columns = ["subscribed", "fused, Hz", "this output, Hz", "processor time for each fused, ms"]
    return report(args.json, "Rates and costs of the outputs", columns, rows, notes=[notes])


if __name__ == "__main__":
    sys.exit(main())
