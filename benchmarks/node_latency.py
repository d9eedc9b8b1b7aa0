# SPDX-License-Identifier: Apache-2.0
"""Measure the time from a camera's publish to the fused image at a subscriber.

    python -m benchmarks.node_latency [--runs 3] [--seconds 40] [--rate 30] [--size 640x512]
    python -m benchmarks.node_latency --overload      # an engine three times too slow for the rate
    python -m benchmarks.node_latency --cores 0.5     # a node that gets half of one processor

Cameras, node and subscriber are three processes that communicate over DDS with the shipped profile.
The overhead is everything but the engine's inference: both transports, pairing, tone mapping,
colour, conversion, and rclpy's conversions in camera and subscriber.

Exit code 1 if the median overhead exceeds `--bar-ms`, if a frame is lost between camera and
pairing, or if a frame has no fate. With `--overload` or `--cores`: if the 95th percentile of the
latency exceeds two inferences plus one camera period.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from benchmarks.field.listening import STREAMS, Field, counts
from benchmarks.report.tables import Target, ms, options, report
from fusion_ros.streams.series import percentiles

OVERLOAD_PERIODS = 3
QUOTA_PERIOD_US = 100_000
#: Columns of the node's trace by stage.
TRACED = {"wait for the worker": "wait_ms", "tone": "tone_ms", "registration": "registration_ms"}
TRACED |= {"colour": "colour_ms", "engine": "infer_ms", "recolour": "recolour_ms"}
TRACED |= {"encode": "encode_ms", "publish": "publish_ms"}


def main() -> int:
    """Run; return 1 if a target is missed."""
    args = _arguments()
    width, height = args.size
    parameters = {"engine": args.engine, "warm_up_width": width, "warm_up_height": height}
    for name, _, value in (text.partition("=") for text in args.parameter):
        parameters[name] = yaml.safe_load(value)
    results = [_run(args, parameters) for _ in range(args.runs)]
    rows = [
        [stage, *(" / ".join(ms(x) for x in result["stages_ms"][stage]) for result in results)]
        for stage in results[0]["stages_ms"]
    ]
    runs = [f"run {number}" for number in range(1, args.runs + 1)]
    title = "Latency of the node by stage, p50 / p95 in ms"
    if args.overload:
        title += f", with an engine of {OVERLOAD_PERIODS} camera periods"
    if args.cores:
        title += f", with {args.cores:g} of a processor"
    notes = [
        f"{width}x{height} rgb8 and mono16 at {args.rate:g} Hz for {args.seconds:g} s, "
        f"{results[0]['engine']}. Cameras, node and subscriber are three processes.",
        *(f"- {name}: {_text(result)}" for name, result in zip(runs, results, strict=True)),
    ]
    targets = [target for result in results for target in judge(result, args)]
    header = ["p50 / p95", *runs]
    return report(args.json, title, header, rows, notes=["\n".join(notes)], targets=targets)


def _run(args: argparse.Namespace, parameters: dict[str, Any]) -> dict[str, Any]:
    infer_ms = 1e3 * OVERLOAD_PERIODS / args.rate if args.overload else 0.0
    with tempfile.TemporaryDirectory() as folder:
        with (
            cpu_quota(args.cores) as group,
            Field(Path(folder), parameters, infer_ms=infer_ms) as field,
        ):
            if group:
                (group / "cgroup.procs").write_text(str(field.node.pid), encoding="ascii")
            field.run_cameras(seconds=args.seconds, rate_hz=args.rate, size=args.size)
        return evaluate(field)


@contextlib.contextmanager
def cpu_quota(cores: float | None) -> Iterator[Path | None]:
    """Yield a control group of `cores` processors' time (Linux, as root); None: no group.

    All its processes must have ended when the block is left.

    Raises:
        OSError: this process may not create control groups.
    """
    if cores is None:
        yield None
        return
    root = Path("/sys/fs/cgroup")
    quota_us = round(cores * QUOTA_PERIOD_US)
    if (root / "cgroup.controllers").exists():  # version 2
        group, file, text = root / "fusion_ros_bench", "cpu.max", f"{quota_us} {QUOTA_PERIOD_US}"
    else:
        group, file, text = root / "cpu" / "fusion_ros_bench", "cpu.cfs_quota_us", f"{quota_us}"
    group.mkdir()
    try:
        (group / file).write_text(text, encoding="ascii")
        yield group
    finally:
        group.rmdir()


def evaluate(field: Field) -> dict[str, Any]:
    """Return stages in milliseconds and counts of frames of a finished run."""
    sent = {row["stamp_ns"]: row for row in field.sent()}
    status, arrived_ns = field.listener.status, field.listener.arrived_ns
    stages: dict[str, list[float]] = defaultdict(list)
    for row in field.trace():
        times = sent.get(int(row["stamp_ns"]))
        came_ns = arrived_ns.get(int(row["stamp_ns"]))
        if times is None or came_ns is None:
            continue
        sent_ns = times["thermal_sent_ns"]  # the pair's later frame
        parts = {
            "publish of the visible image": (sent_ns - times["visible_sent_ns"]) / 1e6,
            "publish of the thermal image": (times["thermal_done_ns"] - sent_ns) / 1e6,
            "transport in": (row["arrived_ns"] - sent_ns) / 1e6,
            **{stage: row[column] for stage, column in TRACED.items()},
            "transport out": (came_ns - row["arrived_ns"]) / 1e6 - row["latency_ms"],
            "end to end": (came_ns - sent_ns) / 1e6,
            "end to end without engine": (came_ns - sent_ns) / 1e6 - row["infer_ms"],
        }
        for name, value in parts.items():
            stages[name].append(value)
    if not stages:
        raise RuntimeError("no pair was fused")
    found = {stream: counts(status, stream) for stream in STREAMS}
    for stream in found.values():
        stream["lost before the node"] = len(sent) - stream["received"]
    return {
        "engine": f"{status.engine} on {status.device}, {status.precision}",
        "stages_ms": {name: percentiles(values, (50, 95)) for name, values in stages.items()},
        "counts": found,
    }


def judge(result: dict[str, Any], args: argparse.Namespace) -> list[Target]:
    """Return the targets of one run."""
    stages, found = result["stages_ms"], result["counts"]
    lost = sum(stream["lost before the node"] for stream in found.values())
    without = sum(stream["without a fate"] for stream in found.values())
    targets = [
        Target("no frame lost before the node", str(lost), not lost),
        Target("no frame without a fate", str(without), not without),
    ]
    if args.overload or args.cores:
        p95_ms = stages["end to end"][1]
        bound_ms = 2 * stages["engine"][1] + 1e3 / args.rate
        asked = f"p95 within two inferences and one period, {bound_ms:.1f} ms"
        targets.append(Target(asked, f"{p95_ms:.1f} ms", p95_ms <= bound_ms))
    if args.overload:
        superseded = found["visible"]["superseded"]
        targets.append(Target("pairs are superseded", str(superseded), superseded > 0))
    if not (args.overload or args.cores):
        own_ms = stages["end to end without engine"][0]
        asked = f"p50 without the engine at most {args.bar_ms:g} ms"
        targets.append(Target(asked, f"{own_ms:.2f} ms", own_ms <= args.bar_ms))
    return targets


def _text(result: dict[str, Any]) -> str:
    return "; ".join(
        f"{stream}: " + ", ".join(f"{number} {fate}" for fate, number in fates.items() if number)
        for stream, fates in result["counts"].items()
    )


def _arguments() -> argparse.Namespace:
    parser = options(__doc__, "640x512")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=40.0, help="of each run")
    parser.add_argument("--rate", type=float, default=30.0)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--parameter", action="append", default=[], metavar="NAME=YAML")
    parser.add_argument("--overload", action="store_true", help="inference takes 3 periods")
    parser.add_argument("--cores", type=float, help="limit of the node's processors, as root")
    parser.add_argument("--bar-ms", type=float, default=4.0)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
