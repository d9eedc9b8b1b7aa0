# SPDX-License-Identifier: Apache-2.0
"""`fusion-ros replay --live`: the fuse node and the player as processes, and what came of it."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import signal
import subprocess
from pathlib import Path
from types import FrameType
from typing import Any

from fusion_ros.cli.exit_codes import STOPPED
from fusion_ros.cli.node import NO_RCLPY_FIX
from fusion_ros.cli.processes import Processes, isolated_environment
from fusion_ros.cli.replay.run import parameter_values
from fusion_ros.files.folders import discard, publish, reserved, stage
from fusion_ros.imaging.encodings import EncodingError
from fusion_ros.parameters.table import FuseParameters
from fusion_ros.recordings.opening import open_recording
from fusion_ros.replay.gate import NO_GATE, Gate, Verdict
from fusion_ros.streams.ledger import Stream
from fusion_ros.streams.outside_text import say

RESULTS = ("live.json", "live.html", "live_frames.csv")
_NOT_LIVE = {
    "compare": None, "detector": None, "fused_bag": False, "fused_video": False, "ray": None,
    "jobs": 1, "no_report": False, "every": 0, "measures": "quick", "baselines": "default",
}  # fmt: skip
"""Options that mean nothing here, and what they are where nobody gave them."""
_LOG_LINES = 15


def run_live(args: argparse.Namespace) -> int:
    """Play one recording; 0 passed, 1 the gate failed, 2 it could not run.

    Raises:
        ValueError, RecordingError: something is wrong with the arguments or the recording.
    """
    rate, search_s = _checked(args)
    gate = Gate.load(args.gate) if args.gate else None
    given = parameter_values(args)
    parameters = FuseParameters.from_values(given)
    node_values = {name: getattr(parameters, name) for name in given}
    if parameters.weights:
        node_values["weights"] = str(Path(parameters.weights).resolve())
    node_values |= _as_recorded(args, given)
    with reserved(args.out):
        staging = stage(args.out)
        try:
            return _played(args, staging, node_values, gate, rate, search_s)
        finally:
            discard(staging)


def _played(
    args: argparse.Namespace,
    staging: Path,
    node_values: dict[str, Any],
    gate: Gate | None,
    rate: float,
    search_s: float,
) -> int:
    failure, stopped = "", False
    before = signal.signal(signal.SIGTERM, _interrupt)
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
                    "picture_rate_hz": float(args.picture_rate or 0),
                    "out": str(staging.resolve()),
                    "rate": rate,
                    "search_s": search_s,
                    "most_frames": args.max_messages or 0,
                    "fuse": json.dumps(node_values),
                },
                show=True,
            )
            node = processes.start("fuse_node", "fusion_ros.nodes.fuse.fuse_node", node_values)
            failure = _wait(player, node, processes.log("fuse_node"))
    except KeyboardInterrupt:
        failure, stopped = "stopped; nothing is left running", True
    finally:
        signal.signal(signal.SIGTERM, before)
    code = _conclude(staging, gate, failure)
    return STOPPED if stopped else code


def _checked(args: argparse.Namespace) -> tuple[float, float]:
    if importlib.util.find_spec("rclpy") is None:
        raise ValueError(f"--live needs rclpy: {NO_RCLPY_FIX}")
    if len(args.recordings) != 1:
        raise ValueError(f"--live plays one recording, {len(args.recordings)} were given")
    if others := [name for name, bare in _NOT_LIVE.items() if getattr(args, name) != bare]:
        named = ", ".join(f"--{name.replace('_', '-')}" for name in others)
        raise ValueError(f"{named}: not with --live; replay without it")
    rate = 1.0 if args.rate is None else args.rate
    search_s = 6.0 if args.search_s is None else args.search_s
    if not 0.01 <= rate <= 100:
        raise ValueError(f"--rate is {rate:g}, allowed is 0.01 to 100")
    if search_s < 0:
        raise ValueError(f"--search-s is {search_s:g}, allowed is 0 or more")
    return rate, search_s


def _as_recorded(args: argparse.Namespace, given: dict[str, Any]) -> dict[str, Any]:
    """Parameters that follow from the recording, where they were not given."""
    if args.by_order:
        raise ValueError("--by-order does not go with --live: make a bag with record --by-order")
    recording = open_recording(
        args.recordings[0],
        partner=args.thermal,
        visible_topic=args.visible_topic,
        thermal_topic=args.thermal_topic,
        rate_hz=args.picture_rate,
    )
    try:
        values: dict[str, Any] = {
            f"{stream.value}_transport": "compressed"
            if recording.identity.is_compressed(stream)
            else "raw"
            for stream in Stream
        }
        for frame in recording.frames():
            if frame.stream is not Stream.VISIBLE:
                continue
            try:
                height, width = frame.read().pixels.shape[:2]
            except EncodingError:
                continue
            values |= {"warm_up_width": width, "warm_up_height": height}
            break
    finally:
        recording.close()
    return {name: value for name, value in values.items() if name not in given}


def _wait(player: subprocess.Popen[bytes], node: subprocess.Popen[bytes], log: Path) -> str:
    """Until the player ends. Returns what went wrong, or nothing."""
    while True:
        try:
            code = player.wait(0.2)
            return "" if code == 0 else "the player did not come to its end"
        except subprocess.TimeoutExpired:
            if node.poll() is not None:
                said = log.read_text(encoding="utf-8", errors="replace").splitlines()
                last = "\n".join(said[-_LOG_LINES:])
                return f"the fuse node ended with code {node.returncode}; it said:\n{last}"


def _conclude(staging: Path, gate: Gate | None, failure: str) -> int:
    """Judge, write the page, publish all files, and say it all in a few lines."""
    path = staging / "live.json"
    live = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    played = "counts" in live
    verdict = Verdict.could_not_run(failure) if failure else (gate or NO_GATE).judge(live)
    if played:
        from fusion_ros.replay.live.page import write_page

        write_page(staging, live, verdict)
        publish(staging, RESULTS)
        for line in summary_lines(live):
            say(f"replay: {line}")
    if failure:
        say(f"replay: could not run: {failure}", error=True)
        return verdict.exit_code
    for reason in verdict.reasons:
        say(f"replay:   {reason}")
    say(f"replay: {verdict.word} ({staging.parent / 'live.html'})")
    return verdict.exit_code


def summary_lines(live: dict[str, Any]) -> list[str]:
    """What a person at a terminal wants to know."""
    name, age = live["recording"]["name"], live["age_ms"]
    lines = [
        f"{name} at {live['asked_hz']:.1f} Hz: {live['fused']} of {live['pairs_possible']} "
        f"pairs fused, {live['loss']:.2%} lost",
    ]
    if age["n"]:
        lines.append(
            f"stamp to publish p50 {age['p50']:.1f} ms, p95 {age['p95']:.1f} ms, "
            f"p99 {age['p99']:.1f} ms"
        )
    for stream, counts in live["counts"].items():
        fates = ", ".join(f"{n} {fate}" for fate, n in counts.items() if fate != "received" and n)
        lines.append(
            f"{stream}: {live['sent'][stream]} sent, {counts['received']} received: {fates}"
        )
    if "highest" in live:
        highest = live["highest"]
        at_least = "at least " if highest["limited_by"] == "player" else ""
        lines.append(
            f"highest rate kept up: {at_least}{highest['hz']:.1f} Hz ({highest['rate']:.2f} times)"
        )
    lines += [f"  {f['severity']}: {f['code']}: {f['title']}" for f in live["findings"]]
    return lines


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
