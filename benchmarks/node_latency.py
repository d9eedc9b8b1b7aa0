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
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from benchmarks.field.listening import Field
from benchmarks.field.quota import cpu_quota
from benchmarks.report.tables import Target, ms, report
from fusion_ros.cli.argument_types import image_size
from fusion_ros.streams.series import percentiles

OVERLOAD_PERIODS = 3
FATES = (
    "received", "fused", "held", "superseded", "unpaired", "late", "duplicate", "rejected",
    "pending",
)  # fmt: skip


def main() -> int:
    """Run; return 1 if a target is missed."""
    args = _arguments()
    width, height = args.size
    parameters = {"engine": args.engine, "warm_up_width": width, "warm_up_height": height}
    for name, _, value in (text.partition("=") for text in args.parameter):
        parameters[name] = yaml.safe_load(value)
    results = [_run(args, parameters) for _ in range(args.runs)]
    stages = list(results[0]["stages_ms"])
    rows = [
        [stage, *(" / ".join(ms(x) for x in result["stages_ms"][stage]) for result in results)]
        for stage in stages
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
        *(f"- {name}: {_counts(result)}" for name, result in zip(runs, results, strict=True)),
    ]
    targets = [target for result in results for target in judge(result, args)]
    header = ["p50 / p95", *runs]
    return report(args.json, title, header, rows, notes=["\n".join(notes)], targets=targets)


def _run(args: argparse.Namespace, parameters: dict[str, Any]) -> dict[str, Any]:
    infer_ms = 1e3 * OVERLOAD_PERIODS / args.rate if args.overload else 0.0
    with tempfile.TemporaryDirectory() as folder:
        with (
            cpu_quota(args.cores) as limit,
            Field(Path(folder), parameters, infer_ms=infer_ms) as field,
        ):
            limit(field.node.pid)
            field.run_cameras(
                seconds=args.seconds,
                rate_hz=args.rate,
                size="{}x{}".format(*args.size),
                reliability=args.reliability,
            )
        return evaluate(field)


def evaluate(field: Field) -> dict[str, Any]:
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
    if not stages:
        raise RuntimeError("no pair was fused")
    counts = {}
    for stream in ("visible", "thermal"):
        counts[stream] = {fate: int(getattr(status, f"{stream}_{fate}")) for fate in FATES}
        decided = sum(counts[stream][fate] for fate in FATES[1:])
        counts[stream]["without a fate"] = counts[stream]["received"] - decided
        counts[stream]["lost before the node"] = len(sent) - counts[stream]["received"]
    return {
        "engine": f"{status.engine} on {status.device}, {status.precision}",
        "stages_ms": {name: percentiles(values, (50, 95)) for name, values in stages.items()},
        "counts": counts,
    }


def judge(result: dict[str, Any], args: argparse.Namespace) -> list[Target]:
    """Return the targets of one run."""
    stages, counts = result["stages_ms"], result["counts"]
    lost = sum(stream["lost before the node"] for stream in counts.values())
    without = sum(stream["without a fate"] for stream in counts.values())
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
        superseded = counts["visible"]["superseded"]
        targets.append(Target("pairs are superseded", str(superseded), superseded > 0))
    if not (args.overload or args.cores):
        own_ms = stages["end to end without engine"][0]
        asked = f"p50 without the engine at most {args.bar_ms:g} ms"
        targets.append(Target(asked, f"{own_ms:.2f} ms", own_ms <= args.bar_ms))
    return targets


def _counts(result: dict[str, Any]) -> str:
    return "; ".join(
        f"{stream}: " + ", ".join(f"{number} {fate}" for fate, number in fates.items() if number)
        for stream, fates in result["counts"].items()
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=40.0, help="of each run")
    parser.add_argument("--rate", type=float, default=30.0)
    parser.add_argument("--size", type=image_size, default="640x512", metavar="WIDTHxHEIGHT")
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
        "--cores",
        type=float,
        help="limit of the node's processor time, as root: 0.5 is half a core",
    )
    parser.add_argument("--bar-ms", type=float, default=4.0)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
