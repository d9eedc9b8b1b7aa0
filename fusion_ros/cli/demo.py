# SPDX-License-Identifier: Apache-2.0
"""`fusion-ros demo`: two synthetic cameras, the fuse node and a recorder, each its own process."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import time
from pathlib import Path
from typing import Any

from fusion_ros.cli.argument_types import image_size, not_allowed, number, result_folder
from fusion_ros.cli.exit_codes import DONE, NEGATIVE, STOPPED
from fusion_ros.cli.options import add_options, add_weights, opt
from fusion_ros.cli.processes import Processes, isolated_environment, sigterm_as_ctrl_c, tail
from fusion_ros.files.folders import discard, publish, reserved, stage
from fusion_ros.files.shipped import config_file
from fusion_ros.outside_text import say, say_lines

_EXAMPLES = """\
examples:
  fusion-ros demo
  fusion-ros demo --seconds 5 --out short/
  fusion-ros demo --size 1280x960 --thermal-size 320x240 --rate 15
  fusion-ros demo --weights mine.safetensors

Exit codes: 0 pairs were fused, 1 nothing was fused (earlier results stay), 130 stopped by Ctrl-C.
"""
FIRST_FUSED_TIMEOUT_S = 45.0
RESULTS = ("side_by_side.png", "registration.png", "fused.mp4", "summary.json")
_RAW_IMAGES = ("visible.png", "thermal.png")


def add_parser(subparsers: Any) -> None:
    """Add `demo` to the sub-commands of `fusion-ros`."""
    parser = subparsers.add_parser(
        "demo",
        help="run synthetic cameras and the fuse node over DDS; images and a summary",
        description="Starts two synthetic cameras, the fuse node and a recorder, each in its own "
        "process and limited to this machine. Writes side_by_side.png, fused.mp4 and summary.json. "
        "Needs no camera; ends by itself within two minutes.",
        epilog=_EXAMPLES,
    )
    # fmt: off
    add_options(
        parser,
        opt("--out DIR", "folder for the results; created if missing (default: demo)",
            type=result_folder, default=Path("demo")),
        opt("--seconds SECONDS", "duration of the recording, 1 to 60 (default: %(default)g)",
            type=number(1, 60), default=15.0),
        opt("--rate HZ", "frames per second of both cameras, 1 to 240 (default: %(default)g)",
            type=number(1, 240), default=30.0),
        opt("--size WIDTHxHEIGHT", "image size of both cameras in pixels (default: 640x480)",
            type=_camera_size, default=(640, 480)),
        opt("--thermal-size WIDTHxHEIGHT", "image size of the thermal camera, such as 320x240 "
            "(default: that of --size)", type=_camera_size),
        opt("--seed N", "seed of the scene's random parts (default: %(default)s)", type=int,
            default=7),
        opt("--aligned", "place both cameras at one point. By default (at 4:3) the thermal camera "
            "is mounted beside the visible one and tilted, and the shipped calibration registers "
            "it"),
    )
    # fmt: on
    add_weights(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the demo and return the exit code."""
    with sigterm_as_ctrl_c(), reserved(args.out):
        staging = stage(args.out)
        try:
            return _run(args, staging)
        finally:
            discard(staging)


def _run(args: argparse.Namespace, staging: Path) -> int:
    environment = isolated_environment(os.environ)
    say(
        f"demo: cameras at {args.rate:g} Hz, {args.seconds:g} s, "
        f"DDS domain {environment['ROS_DOMAIN_ID']}, this machine only"
    )
    try:
        with Processes(environment, args.out / "logs") as processes:
            failure = _record(processes, args, staging)
            say("demo: stopping the cameras and the fuse node")
        if not failure and _is_tilted(args):
            say("demo: fusing one pair with and without calibration")
            _show_registration(args, staging)
    except KeyboardInterrupt:
        if _summary(staging).get("fused"):  # the recorder has written its part
            publish(staging, (*RESULTS, *_RAW_IMAGES))
        say("demo: stopped; no process is left running")
        return STOPPED
    summary = _summary(staging)
    if not failure and not summary.get("fused"):
        failure = "nothing was fused"
    if failure:
        say_lines(f"demo: failed: {failure}", error=True)
        say(f"demo: logs are in {args.out / 'logs'}", error=True)
        return NEGATIVE
    publish(staging, (*RESULTS, *_RAW_IMAGES))
    _report(args.out, summary)
    return DONE


def _record(processes: Processes, args: argparse.Namespace, staging: Path) -> str:
    """Start everything and wait for the recorder. Return the failure, or "".

    Raises:
        RuntimeError: the recorder cannot write its files.
    """
    # Recorder and node start before the cameras, so that they receive every frame.
    recorder = processes.start(
        "recorder",
        "fusion_ros.nodes.recorder.recorder_node",
        {"out": str(staging), "seconds": args.seconds, "timeout_s": FIRST_FUSED_TIMEOUT_S},
        show=True,
    )
    width, height = args.size
    values = {**_network(args), **_registration(args)}
    values |= {"warm_up_width": width, "warm_up_height": height}
    processes.start("fuse_node", "fusion_ros.nodes.fuse.fuse_node", values)
    sizes = {"visible": args.size, "thermal": args.thermal_size or args.size}
    for modality, (columns, rows) in sizes.items():
        processes.start(
            f"{modality}_camera",
            "fusion_ros.nodes.synthetic_camera",
            {
                "modality": modality,
                "rate_hz": args.rate,
                "width": columns,
                "height": rows,
                "seed": args.seed,
                "epoch_s": float(int(time.time())),
                "aligned": not _is_tilted(args),
            },
            arguments=("-r", f"__node:={modality}_camera"),
        )
    while recorder.poll() is None:
        for name, code in processes.ended().items():
            # The cameras and the node may also end just after the recorder.
            if name != "recorder" and recorder.poll() is None:
                return f"{name} ended with code {code}:\n{tail(processes.log(name))}"
        time.sleep(0.1)
    if recorder.returncode not in (DONE, NEGATIVE):
        raise RuntimeError(f"the recorder ended with code {recorder.returncode}, as it says above")
    if recorder.returncode == NEGATIVE:
        log = tail(processes.log("fuse_node"))
        return f"nothing was fused within {FIRST_FUSED_TIMEOUT_S:g} s; log of the fuse node:\n{log}"
    return ""


def _is_tilted(args: argparse.Namespace) -> bool:
    """Return whether the thermal camera is tilted: the shipped calibration is for 4:3."""
    sizes = (args.size, args.thermal_size or args.size)
    return not args.aligned and all(3 * width == 4 * height for width, height in sizes)


def _network(args: argparse.Namespace) -> dict[str, object]:
    weights = str(args.weights.resolve()) if args.weights else ""
    return {"preset": args.preset or "compact", "weights": weights}


def _registration(args: argparse.Namespace) -> dict[str, object]:
    if not _is_tilted(args):
        return {}
    file = str(config_file("demo_calibration.yaml"))
    return {"registration_mode": "homography", "registration_calibration_file": file}


def _show_registration(args: argparse.Namespace, folder: Path) -> None:
    """Fuse the recorded pair with and without calibration, with the node's pipeline."""
    import cv2

    from fusion_ros.files.images import write_image
    from fusion_ros.imaging.side_by_side import side_by_side
    from fusion_ros.parameters import FuseParameters
    from fusion_ros.pipeline_factory import make_pipeline

    paths = [str(folder / name) for name in _RAW_IMAGES]
    visible, thermal = (cv2.imread(path, cv2.IMREAD_UNCHANGED) for path in paths)
    if visible is None or thermal is None:
        return
    panels = {}
    for word, registration in (("without", {}), ("with", _registration(args))):
        values = FuseParameters.from_values({**_network(args), **registration})
        with contextlib.closing(make_pipeline(values)) as pipeline:
            fused = pipeline.fuse(visible, thermal, order="bgr", thermal_order="bgr").image
        panels[f"fused {word} calibration"] = fused[..., ::-1]
    write_image(folder / "registration.png", side_by_side(panels))


def _summary(folder: Path) -> dict[str, Any]:
    path = folder / "summary.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def _shown(value: float | None) -> str:
    return "?" if value is None else f"{value:.1f}"


def _report(out: Path, summary: dict[str, Any]) -> None:
    rates = {name: _shown(value) for name, value in summary["rates_hz"].items()}
    say(
        f"demo: {summary['fused']} fused images at {rates['fused']} Hz (cameras "
        f"{rates['visible']} and {rates['thermal']} Hz)"
    )
    ages = ", ".join(f"{p} {_shown(summary['latency_ms'][p])} ms" for p in ("p50", "p95", "p99"))
    say(f"demo: stamp to arrival {ages}")
    for stream, received in summary.get("frames_in", {}).items():
        counts = summary["frames_dropped"][stream].items()
        dropped = [f"{n} {why}" for why, n in counts if n and why != "rejected_by_reason"]
        say(f"demo: {received} {stream} frames in, dropped: {', '.join(dropped) or 'none'}")
    for name in RESULTS:
        if (out / name).is_file():
            say(f"demo: wrote {(out / name).resolve()}")


def _camera_size(text: str) -> tuple[int, int]:
    size = image_size(text)
    if not all(32 <= side <= 4096 for side in size):
        raise not_allowed(text, "32x32 to 4096x4096")
    return size
