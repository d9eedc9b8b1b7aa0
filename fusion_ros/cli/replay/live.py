# SPDX-License-Identifier: Apache-2.0
"""`fusion-ros replay --live`: run the fuse node and the player as processes, and judge."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from fusion_ros.cli.exit_codes import STOPPED
from fusion_ros.cli.node import NO_RCLPY_FIX
from fusion_ros.cli.options import parameter_values
from fusion_ros.cli.processes import Processes, isolated_environment, tail
from fusion_ros.cli.replay.run import PAIRING
from fusion_ros.files.folders import discard, publish, reserved, stage
from fusion_ros.imaging.encodings import EncodingError
from fusion_ros.outside_text import say, say_lines
from fusion_ros.parameters import FuseParameters
from fusion_ros.recordings.opening import open_recording
from fusion_ros.replay.gate import NO_GATE, Gate, Verdict
from fusion_ros.streams.ledger import Stream

RESULTS = ("live.json", "live.html", "live_frames.csv")
_NOT_LIVE = {
    "compare": None, "detector": None, "fused_bag": False, "fused_video": False, "rerun": None,
    "jobs": 1, "no_report": False, "every": 0, "measures": "quick", "baselines": "default",
    "by_order": False, "pairs": None, "pattern": None, "dry_run": False,
}  # fmt: skip
"""Options that are not supported with --live, and their defaults."""


def run_live(args: argparse.Namespace) -> int:
    """Play one recording and return the exit code.

    Raises:
        ValueError, RecordingError: the arguments or the recording are unusable.
    """
    _check(args)
    gate = Gate.load(args.gate) if args.gate else NO_GATE
    given = parameter_values(args, **PAIRING)
    parameters = FuseParameters.from_values(given)
    node_values = {name: getattr(parameters, name) for name in given}
    if parameters.weights:
        node_values["weights"] = str(Path(parameters.weights).resolve())
    node_values |= _as_recorded(args, given)
    with reserved(args.out):
        staging = stage(args.out)
        try:
            return _played(args, staging, node_values, gate)
        finally:
            discard(staging)


def _played(
    args: argparse.Namespace, staging: Path, node_values: dict[str, Any], gate: Gate
) -> int:
    failure, stopped = "", False
    try:
        with Processes(isolated_environment(os.environ), args.out / "logs") as processes:
            player = processes.start(
                "player",
                "fusion_ros.nodes.bag_player",
                {
                    "recording": str(args.recordings[0]),
                    "thermal": str(args.thermal or ""),
                    "visible_topic": args.visible_topic or "",
                    "thermal_topic": args.thermal_topic or "",
                    "frame_rate_hz": float(args.frame_rate or 0),
                    "out": str(staging.resolve()),
                    "rate": 1.0 if args.rate is None else args.rate,
                    "search_s": 6.0 if args.search_s is None else args.search_s,
                    "most_frames": args.max_messages or 0,
                    "fuse": json.dumps(node_values),
                },
                show=True,
            )
            node = processes.start("fuse_node", "fusion_ros.nodes.fuse.fuse_node", node_values)
            failure = _wait(player, node, processes.log("fuse_node"))
    except KeyboardInterrupt:
        failure, stopped = "stopped; no process is left running", True
    code = _conclude(staging, gate, failure)
    return STOPPED if stopped else code


def _check(args: argparse.Namespace) -> None:
    if importlib.util.find_spec("rclpy") is None:
        raise ValueError(f"--live needs rclpy: {NO_RCLPY_FIX}")
    if len(args.recordings) != 1:
        raise ValueError(f"--live plays one recording, but {len(args.recordings)} were given")
    if others := [name for name, bare in _NOT_LIVE.items() if getattr(args, name) != bare]:
        named = ", ".join(f"--{name.replace('_', '-')}" for name in others)
        raise ValueError(
            f"{named}: not allowed with --live; replay without it, or a bag of fusion-ros record"
        )


def _as_recorded(args: argparse.Namespace, given: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters that follow from the recording and were not given."""
    options = {name: getattr(args, name) for name in ("visible_topic", "thermal_topic")}
    options |= {"partner": args.thermal, "rate_hz": args.frame_rate}
    with contextlib.closing(open_recording(args.recordings[0], **options)) as recording:
        transports = {True: "compressed", False: "raw"}
        values: dict[str, Any] = {
            f"{stream.value}_transport": transports[recording.identity.is_compressed(stream)]
            for stream in Stream
        }
        for frame in recording.frames():
            if frame.stream is Stream.VISIBLE:
                with contextlib.suppress(EncodingError):
                    height, width = frame.read().pixels.shape[:2]
                    values |= {"warm_up_width": width, "warm_up_height": height}
                    break
    return {name: value for name, value in values.items() if name not in given}


def _wait(player: subprocess.Popen[bytes], node: subprocess.Popen[bytes], log: Path) -> str:
    """Wait until the player ends; return the failure, or ""."""
    while True:
        try:
            code = player.wait(0.2)
            return "" if code == 0 else f"the player ended with code {code}"
        except subprocess.TimeoutExpired:
            if node.poll() is not None:
                return f"the fuse node ended with code {node.returncode}:\n{tail(log)}"


def _conclude(staging: Path, gate: Gate, failure: str) -> int:
    """Judge, write the page, publish all files and print a summary."""
    path = staging / "live.json"
    live = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    verdict = Verdict.could_not_run(failure) if failure else gate.judge(live)
    if "counts" in live:  # the recording was played
        from fusion_ros.replay.live.page import write_page

        write_page(staging, live, verdict)
        publish(staging, RESULTS)
        for line in summary_lines(live):
            say(f"replay: {line}")
    if failure:
        say_lines(f"replay: could not run: {failure}", error=True)
        return verdict.exit_code
    for reason in verdict.reasons:
        say(f"replay:   {reason}")
    say(f"replay: {verdict.word} ({staging.parent / 'live.html'})")
    return verdict.exit_code


def summary_lines(live: dict[str, Any]) -> list[str]:
    """Return the main figures as lines for the terminal."""
    name, age = live["recording"]["name"], live["age_ms"]
    lines = [
        f"{name} at {live['asked_hz']:.1f} Hz: {live['fused']} of {live['pairs_possible']} "
        f"pairs fused, {live['loss']:.2%} lost",
    ]
    if age["n"]:
        ages = ", ".join(f"{p} {age[p]:.1f} ms" for p in ("p50", "p95", "p99"))
        lines.append(f"stamp to publish {ages}")
    for stream, counts in live["counts"].items():
        fates = ", ".join(f"{n} {fate}" for fate, n in counts.items() if fate != "received" and n)
        lines.append(
            f"{stream}: {live['sent'][stream]} sent, {counts['received']} received: {fates}"
        )
    if "highest" in live:
        highest = live["highest"]
        at_least = "at least " if highest["limited_by"] == "player" else ""
        lines.append(
            f"highest sustained rate: {at_least}{highest['hz']:.1f} Hz "
            f"({highest['rate']:.2f} x the recorded rate)"
        )
    lines += [f"  {f['severity']}: {f['code']}: {f['title']}" for f in live["findings"]]
    return lines
