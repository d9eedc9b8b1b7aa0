# SPDX-License-Identifier: Apache-2.0
"""Measure rates, ages and costs of the node's outputs beside a slower thermal camera.

    python -m benchmarks.outputs [--seconds 2] [--rounds 12] [--size 640x512] [--json FILE]

Two synthetic cameras (30 and 9 Hz), the node and this subscriber are four processes that
communicate over DDS with the shipped profile. Each output is subscribed to in turn, and the fused
image alone before each. The cost of an output is the node's processor time for each fused image,
all threads together, minus that of the fused image alone before it. Many short windows in turn
cancel other load. Computing an output is timed in this process, before the others start.
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

import numpy as np
import rclpy
from fusion_ros.msg import FusionStatus, ThermalSpots
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import CompressedImage, Image

from benchmarks.field.listening import NODE
from benchmarks.imaging import thermal_scene
from benchmarks.report.tables import cell, report
from benchmarks.report.timing import Sample
from benchmarks.report.timing import measure as timed
from fusion_ros.cli.argument_types import image_size
from fusion_ros.cli.processes import Processes, isolated_environment
from fusion_ros.nodes.fuse.registered_thermal import CELSIUS, COUNTS
from fusion_ros.nodes.runtime.process_tuning import tune_process
from fusion_ros.nodes.runtime.subscription import image_quality
from fusion_ros.parameters import FuseParameters
from fusion_ros.pipeline_factory import make_pipeline
from fusion_ros.thermal.spot_options import SpotOptions

CAMERA = "fusion_ros.nodes.synthetic_camera"
FUSED = "fused/image_raw"
VISIBLE_HZ, THERMAL_HZ = 30.0, 9.0
SPOTS = "thermal/spots"
OUTPUTS: dict[str, type] = {
    "fused/image_raw/compressed": CompressedImage,
    "fused/overlay": Image,
    COUNTS: Image,
    CELSIUS: Image,
    SPOTS: ThermalSpots,
}
IN_NOISE = SpotOptions("above_median", 0.25)
"""A threshold 1.3 standard deviations above the mean of the noise."""
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
STARTING_S, SETTLING_S = 60.0, 1.0


class Window(NamedTuple):
    """Rates and cost while a set of topics was subscribed to."""

    fused_hz: float
    output_hz: float
    processor_ms: float
    """For each fused image."""


class Bench:
    """The subscriber's node."""

    def __init__(self, pid: int) -> None:
        self._threads = Path(f"/proc/{pid}/task")
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
        times = [file.read_text(encoding="ascii") for file in self._threads.glob("*/schedstat")]
        return sum(int(text.split()[0]) for text in times) / 1e9


def computing(file: Path, width: int, height: int) -> dict[str, Sample]:
    """Time the computation of outputs for frames of the node's size, in turn."""
    values = {**PARAMETERS, "registration_calibration_file": str(file)}
    parameters = FuseParameters.from_values(values)
    shape, spots = (height, width), parameters.spot_options()
    counts = thermal_scene(height, width)
    noise = np.random.default_rng(0).normal(29500, 20, shape).astype(np.uint16)
    noise[height // 3 : height // 3 + 20, width // 2 : width // 2 + 12] = 31000
    pipeline = make_pipeline(parameters)
    degrees = make_pipeline(parameters.changed({"tone_unit": "celsius"}))
    celsius = counts.astype(np.float32) / 100 - 273.15

    def registered(frame: np.ndarray, **options: Any) -> Callable[[], object]:
        used = degrees if frame is celsius else pipeline
        return lambda: used.registered_thermal(frame, shape, **options)

    linear: dict[str, Any] = {"interpolation": "linear"}
    calls = {
        COUNTS: registered(counts),
        f"{COUNTS}, linear": registered(counts, **linear),
        f"{COUNTS}, 32FC1, linear": registered(celsius, **linear),
        CELSIUS: registered(counts, celsius=True),
        f"{CELSIUS}, linear": registered(counts, celsius=True, **linear),
        f"{CELSIUS}, 32FC1, linear": registered(celsius, celsius=True, **linear),
        SPOTS: lambda: pipeline.spots(counts, shape, spots),
        f"{SPOTS}, threshold in the noise": lambda: pipeline.spots(noise, shape, IN_NOISE),
    }
    try:
        return timed(calls, runs=200)
    finally:
        pipeline.close()
        degrees.close()


def measure(bench: Bench, seconds: float, rounds: int) -> dict[str, list[tuple[Window, Window]]]:
    """Return pairs of windows by topic: the fused image alone, then the topic beside it."""
    found: dict[str, list[tuple[Window, Window]]] = {topic: [] for topic in OUTPUTS}
    for _ in range(rounds):
        for topic in OUTPUTS:
            found[topic].append((bench.window(None, seconds), bench.window(topic, seconds)))
    return found


def rows_of(
    without_hold: Window,
    found: dict[str, list[tuple[Window, Window]]],
    steps: dict[str, Sample],
) -> list[list[str]]:
    """Return the rows of the table."""
    alone = [before for pairs in found.values() for before, _ in pairs]
    costs = [window.processor_ms for window in alone]
    rows = [
        [f"`{FUSED}`, `thermal_hold_ms` 0", f"{without_hold.fused_hz:.1f}", "", "", ""],
        [
            f"`{FUSED}`",
            f"{statistics.median(window.fused_hz for window in alone):.1f}",
            "",
            f"{statistics.median(costs):.2f} ({min(costs):.2f} to {max(costs):.2f})",
            "",
        ],
    ]
    for topic, pairs in found.items():
        more = [beside.processor_ms - before.processor_ms for before, beside in pairs]
        lower, middle, upper = statistics.quantiles(more, n=4)
        rows.append(
            [
                f"and `{topic}`",
                f"{statistics.median(beside.fused_hz for _, beside in pairs):.1f}",
                f"{statistics.median(beside.output_hz for _, beside in pairs):.1f}",
                f"{middle:+.2f} ({lower:+.2f} to {upper:+.2f})",
                cell(steps[topic]) if topic in steps else "",
            ]
        )
        rows += [
            [name.replace(topic, f"`{topic}`"), "", "", "", cell(sample)]
            for name, sample in steps.items()
            if name.startswith(f"{topic},")
        ]
    return rows


def main() -> int:
    """Run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a window")
    parser.add_argument("--rounds", type=int, default=12)
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
        steps = computing(file, width, height)
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
    rows = rows_of(without_hold, found, steps)
    notes = (
        f"{width}x{height} rgb8 at {VISIBLE_HZ:g} Hz and mono16 in centikelvin at {THERMAL_HZ:g} "
        f"Hz, registered by a homography, {status.engine} in {status.precision}. Median of "
        f"{args.rounds} windows of {args.seconds:g} s; in brackets lowest and highest, for further "
        "outputs the quartiles of the difference. Computing: median (best). Age of held "
        f"thermal frames: {status.held_age_ms_p50:.1f} ms p50, {status.held_age_ms_p95:.1f} p95. "
        f"Load average before: {load:.1f}."
    )
    columns = [
        "subscribed",
        "fused, Hz",
        "this output, Hz",
        "processor time for each fused, ms",
        "computing, ms",
    ]
    return report(args.json, "Rates and costs of the outputs", columns, rows, notes=[notes])


if __name__ == "__main__":
    sys.exit(main())
