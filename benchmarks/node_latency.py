# SPDX-License-Identifier: Apache-2.0
"""Measure the time from a camera's publish to the fused image at a subscriber.

    python -m benchmarks.node_latency [--seconds 60] [--rate 30] [--size 640x512] [--json FILE]
    python -m benchmarks.node_latency --overload      # an engine three times too slow for the rate
    python -m benchmarks.node_latency --stall-s 0.5   # the node is stopped four times
    python -m benchmarks.node_latency --peers-use-bytes

Cameras, node and subscriber are three processes that communicate over DDS with the shipped profile.
The overhead is everything but the engine's inference: both transports, pairing, tone mapping,
colour, conversion. By default it includes the conversions of rclpy in camera and subscriber;
`--peers-use-bytes` excludes them, as for peers in C++.

Exit code 1 if the median overhead exceeds `--bar-ms`, or if a frame is lost between camera and
pairing. With `--overload`: if the 95th percentile of the latency exceeds two inferences plus one
camera period. With `--stall-s` only losses count.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.field.listening import Field
from fusion_ros.files.writing import write_json
from fusion_ros.streams.series import percentiles

OVERLOAD_PERIODS = 3
STALLS = 4


def main() -> int:
    """Run; return 1 if a bar is missed."""
    args = _arguments()
    infer_ms = 1e3 * OVERLOAD_PERIODS / args.rate if args.overload else 0.0
    width, height = args.size.split("x")
    parameters = {
        "engine": args.engine,
        "warm_up_width": int(width),
        "warm_up_height": int(height),
    }
    for name, _, value in (text.partition("=") for text in args.parameter):
        parameters[name] = yaml.safe_load(value)
    with tempfile.TemporaryDirectory() as folder:
        with (
            Field(
                Path(folder), parameters, infer_ms=infer_ms, peers_use_bytes=args.peers_use_bytes
            ) as field,
            _stalls(field.node.pid, args.stall_s, every_s=args.seconds / STALLS),
        ):
            field.run_cameras(
                seconds=args.seconds,
                rate_hz=args.rate,
                size=args.size,
                reliability=args.reliability,
            )
        result = evaluate(field, args.rate)
    failures = judge(result, args)
    result = {
        "options": {k: v for k, v in vars(args).items() if k != "json"},
        "machine": _machine(),
        **result,
        "failures": failures,
    }
    _print(result)
    if args.json:
        write_json(args.json, result)
    for failure in failures:
        print(f"FAILED: {failure}")
    return 1 if failures else 0


@contextmanager
def _stalls(pid: int, stall_s: float, *, every_s: float) -> Iterator[None]:
    """Stop a process for `stall_s` repeatedly."""
    ended = threading.Event()

    def stall() -> None:
        while not ended.wait(every_s):
            os.kill(pid, signal.SIGSTOP)
            time.sleep(stall_s)
            os.kill(pid, signal.SIGCONT)

    thread = threading.Thread(target=stall, name="stalls")
    if stall_s:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        if stall_s:
            thread.join()


def evaluate(field: Field, rate_hz: float) -> dict[str, Any]:
    """Return stages in milliseconds and counts of frames of a finished run."""
    sent = {row["stamp_ns"]: row for row in field.sent()}
    status, arrived_ns = field.listener.status, field.listener.arrived_ns
    stages: dict[str, list[float]] = {}
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
            "wait for the worker": row["wait_ms"],
            "tone": row["tone_ms"],
            "registration": row["registration_ms"],
            "colour": row["colour_ms"],
            "engine": row["infer_ms"],
            "recolour": row["recolour_ms"],
            "encode": row["encode_ms"],
            "publish": row["publish_ms"],
            "transport out": (came_ns - row["arrived_ns"]) / 1e6 - row["latency_ms"],
            "end to end": (came_ns - sent_ns) / 1e6,
            "end to end without engine": (came_ns - sent_ns) / 1e6 - row["infer_ms"],
        }
        for name, value in parts.items():
            stages.setdefault(name, []).append(value)
    counts = {}
    for stream in ("visible", "thermal"):
        fates = ("received", "fused", "superseded", "unpaired", "late", "duplicate", "rejected")
        counts[stream] = {"sent": len(sent)}
        counts[stream] |= {fate: int(getattr(status, f"{stream}_{fate}")) for fate in fates}
        counts[stream]["lost before the node"] = len(sent) - counts[stream]["received"]
    return {
        "engine": f"{status.engine} on {status.device}, {status.precision}",
        "weights_sha256": status.weights_sha256,
        "stages_ms": {name: _percentiles(values) for name, values in stages.items()},
        "counts": counts,
        "fused images at the subscriber": field.listener.fused,
        "period_ms": 1000.0 / rate_hz,
    }


def judge(result: dict[str, Any], args: argparse.Namespace) -> list[str]:
    """Return the missed bars."""
    failures = []
    stages = result["stages_ms"]
    if not stages:
        return ["no pair was fused"]
    for stream, counts in result["counts"].items():
        if counts["lost before the node"]:
            lost, sent = counts["lost before the node"], counts["sent"]
            failures.append(f"{lost} of {sent} {stream} frames were lost before the node")
    if args.overload:
        bound_ms = 2 * stages["engine"]["p95"] + result["period_ms"]
        if stages["end to end"]["p95"] > bound_ms:
            failures.append(
                f"latency p95 {stages['end to end']['p95']:.1f} ms, over the bound of two "
                f"inferences and one period ({bound_ms:.1f} ms)"
            )
        if not result["counts"]["visible"]["superseded"]:
            failures.append("nothing was superseded, so this was no overload")
    elif not args.stall_s and stages["end to end without engine"]["p50"] > args.bar_ms:
        own_ms = stages["end to end without engine"]["p50"]
        failures.append(f"p50 without the engine is {own_ms:.2f} ms, the bar {args.bar_ms} ms")
    return failures


def _percentiles(values: list[float]) -> dict[str, float]:
    p50, p95 = percentiles(values, (50, 95))
    return {
        "p50": round(p50, 3),
        "p95": round(p95, 3),
        "mean": round(statistics.fmean(values), 3),
    }


def _machine() -> dict[str, Any]:
    import cv2
    import rclpy
    import torch

    from fusion_ros.engines.cpu import cpu_name

    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "load_average": [round(n, 1) for n in os.getloadavg()],
        "python": platform.python_version(),
        "versions": {
            "torch": torch.__version__,
            "opencv": cv2.__version__,
            "numpy": np.__version__,
            "rmw": rclpy.utilities.get_rmw_implementation_identifier(),
        },
    }


def _print(result: dict[str, Any]) -> None:
    machine = result["machine"]
    print(f"{machine['cpu']}, {machine['cores']} cores, load {machine['load_average']}")
    print(f"{result['engine']}, weights {result['weights_sha256'][:12]}")
    print(f"{'stage':<28}{'p50':>9}{'p95':>9}{'mean':>9}   [ms]")
    for name, stage in result["stages_ms"].items():
        print(f"{name:<28}{stage['p50']:>9.2f}{stage['p95']:>9.2f}{stage['mean']:>9.2f}")
    for stream, counts in result["counts"].items():
        print(f"{stream}: " + ", ".join(f"{number} {fate}" for fate, number in counts.items()))
    print(f"fused images at the subscriber: {result['fused images at the subscriber']}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=30.0)
    parser.add_argument("--size", default="640x512", help="WIDTHxHEIGHT of both cameras")
    parser.add_argument("--engine", default="auto")
    parser.add_argument(
        "--reliability", default="best_effort", help="reliability that the cameras offer"
    )
    parser.add_argument(
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="parameter of the node (YAML)",
    )
    parser.add_argument("--overload", action="store_true", help="inference takes 3 periods")
    parser.add_argument(
        "--stall-s",
        type=float,
        default=0.0,
        help="stop the node for this time in each quarter of the run",
    )
    parser.add_argument(
        "--peers-use-bytes",
        action="store_true",
        help="camera and subscriber without rclpy's conversions, as peers in C++",
    )
    parser.add_argument("--bar-ms", type=float, default=4.0)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
