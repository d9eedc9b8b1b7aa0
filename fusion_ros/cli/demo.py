# SPDX-License-Identifier: Apache-2.0
"""`fusion-ros demo`: two synthetic cameras, the fuse node and a recorder, each its own process."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

from fusion_ros.cli.argument_types import number, picture_size, result_folder
from fusion_ros.cli.processes import Processes, isolated_environment
from fusion_ros.shipped_files import config_file

_EXAMPLES = """\
examples:
  fusion-ros demo
  fusion-ros demo --seconds 5 --out short/
  fusion-ros demo --size 1280x960 --thermal-size 320x240 --rate 15
  fusion-ros demo --weights mine.safetensors

Exit codes: 0 something was fused, 1 nothing was, 130 stopped by Ctrl-C.
"""
FIRST_FUSED_TIMEOUT_S = 45.0
RESULTS = ("side_by_side.png", "registration.png", "fused.mp4", "summary.json")


def add_parser(subparsers: Any) -> None:
    """Add `demo` to the sub-commands of `fusion-ros`."""
    parser = subparsers.add_parser(
        "demo",
        help="synthetic cameras, the fuse node and a recorder over DDS; pictures and a summary",
        description="Starts two synthetic cameras, the fuse node and a recorder, each its own "
        "process, lets them talk over DDS on this machine only, and writes side_by_side.png, "
        "fused.mp4 and summary.json. Ends by itself within two minutes.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--out", type=result_folder, default=Path("demo"), help="folder to write to (default: demo)"
    )
    parser.add_argument(
        "--seconds", type=number(1, 60), default=15.0, help="how long to record (default: 15)"
    )
    parser.add_argument(
        "--rate",
        type=number(1, 240),
        default=30.0,
        help="pictures a second of both cameras (default: 30)",
    )
    parser.add_argument(
        "--size", type=_size, default=(640, 480), help="WIDTHxHEIGHT of both (default: 640x480)"
    )
    parser.add_argument(
        "--thermal-size", type=_size, default=None, help="of the thermal camera, if different"
    )
    parser.add_argument("--seed", type=int, default=7, help="of the street (default: 7)")
    parser.add_argument(
        "--aligned",
        action="store_true",
        help="let both cameras look through one lens; else the thermal one stands askew beside the "
        "visible one and is registered by the shipped calibration, where the aspects are equal",
    )
    parser.add_argument("--preset", default="compact", help="network preset (default: compact)")
    parser.add_argument("--weights", type=Path, default=None, help="weights file, if not shipped")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the demo. 0 where something was fused, 1 where not, 130 after Ctrl-C."""
    out: Path = args.out
    out.mkdir(parents=True, exist_ok=True)
    for name in RESULTS:  # an old result must not be taken for a new one
        (out / name).unlink(missing_ok=True)
    environment = isolated_environment(os.environ)
    print(
        f"demo: cameras at {args.rate:g} Hz, {args.seconds:g} s, "
        f"DDS domain {environment['ROS_DOMAIN_ID']}, this machine only",
        flush=True,
    )
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        with Processes(environment, out / "logs") as processes:
            failure = _record(processes, args)
            print("demo: stopping the cameras and the fuse node", flush=True)
    except KeyboardInterrupt:
        print("demo: stopped, nothing is left running", flush=True)
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)
    if not failure and _is_askew(args):
        print("demo: fusing one pair with and without calibration", flush=True)
        _show_registration(args)
    return _conclude(out, failure)


def _record(processes: Processes, args: argparse.Namespace) -> str:
    """Start everything and wait for the recorder. Returns what went wrong, or nothing."""
    # The recorder and the node first: then no frame is published to nobody.
    recorder = processes.start(
        "recorder",
        "fusion_ros.nodes.recorder.recorder_node",
        {
            "out": str(args.out),
            "seconds": args.seconds,
            "timeout_s": FIRST_FUSED_TIMEOUT_S,
        },
        show=True,
    )
    width, height = args.size
    processes.start(
        "fuse_node",
        "fusion_ros.nodes.fuse.fuse_node",
        {
            "preset": args.preset,
            "weights": str(args.weights.resolve()) if args.weights else "",
            "warm_up_width": width,
            "warm_up_height": height,
            **_registration(args),
        },
    )
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
                "aligned": not _is_askew(args),
            },
            arguments=("-r", f"__node:={modality}_camera"),
        )
    while recorder.poll() is None:
        others = {name: code for name, code in processes.ended().items() if name != "recorder"}
        for name, code in others.items():
            # A recorder that ended in the same moment has what it wants.
            if recorder.poll() is None:
                return _died(processes, name, code)
        time.sleep(0.1)
    if recorder.returncode != 0:
        return (
            f"nothing was fused within {FIRST_FUSED_TIMEOUT_S:g} s; "
            f"the fuse node said:\n{_tail(processes.log('fuse_node'))}"
        )
    return ""


def _is_askew(args: argparse.Namespace) -> bool:
    """Whether the thermal camera stands beside the visible one (the calibration is for 4:3)."""
    sizes = (args.size, args.thermal_size or args.size)
    return not args.aligned and all(3 * width == 4 * height for width, height in sizes)


def _registration(args: argparse.Namespace) -> dict[str, object]:
    if not _is_askew(args):
        return {}
    calibration = config_file("demo_calibration.yaml")
    return {
        "registration_mode": "homography",
        "registration_calibration_file": str(calibration),
    }


def _show_registration(args: argparse.Namespace) -> None:
    """Fuse the recorded pair once more, with and without calibration, by the node's pipeline."""
    import cv2

    from fusion_ros.files.images import write_image
    from fusion_ros.nodes.recorder.side_by_side import side_by_side
    from fusion_ros.parameters.table import FuseParameters
    from fusion_ros.pipeline_factory import make_pipeline

    visible = cv2.imread(str(args.out / "visible.png"), cv2.IMREAD_UNCHANGED)
    thermal = cv2.imread(str(args.out / "thermal.png"), cv2.IMREAD_UNCHANGED)
    if visible is None or thermal is None:
        return
    network = {
        "preset": args.preset,
        "weights": str(args.weights.resolve()) if args.weights else "",
    }
    panels = {}
    for label, registration in (
        ("fused without calibration", {}),
        ("fused with calibration", _registration(args)),
    ):
        pipeline = make_pipeline(FuseParameters.from_values({**network, **registration}))
        panels[label] = pipeline.fuse(visible, thermal, order="bgr", thermal_order="bgr").image[
            ..., ::-1
        ]
        pipeline.close()
    write_image(args.out / "registration.png", side_by_side(panels))


def _died(processes: Processes, name: str, code: int) -> str:
    return f"{name} ended with code {code}; it said:\n{_tail(processes.log(name))}"


def _conclude(out: Path, failure: str) -> int:
    path = out / "summary.json"
    summary = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"fused": 0}
    if not failure and not summary["fused"]:
        failure = "nothing was fused"
    if failure:
        print(f"demo: failed: {failure}\ndemo: logs are in {out / 'logs'}", file=sys.stderr)
        return 1
    latency, rates = summary["latency_ms"], summary["rates_hz"]
    print(
        f"demo: {summary['fused']} fused images at {rates['fused']} Hz "
        f"(cameras {rates['visible']} and {rates['thermal']} Hz)\n"
        f"demo: stamp to arrival p50 {latency['p50']} ms, p95 {latency['p95']} ms, "
        f"p99 {latency['p99']} ms"
    )
    for stream, received in summary["frames_in"].items():
        dropped = [
            f"{n} {why}"
            for why, n in summary["frames_dropped"][stream].items()
            if n and why != "rejected_by_reason"
        ]
        print(f"demo: {received} {stream} frames in, dropped: {', '.join(dropped) or 'none'}")
    for name in RESULTS:
        if (out / name).is_file():
            print(f"demo: wrote {(out / name).resolve()}")
    return 0


def _tail(log: Path, lines: int = 15) -> str:
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    return "\n".join(text.splitlines()[-lines:]) or "(nothing)"


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _size(text: str) -> tuple[int, int]:
    size = picture_size(text)
    if not all(32 <= side <= 4096 for side in size):
        raise argparse.ArgumentTypeError(f"{text!r}; allowed is 32x32 to 4096x4096")
    return size
