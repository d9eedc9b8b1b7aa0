# SPDX-License-Identifier: Apache-2.0
"""`fusion-ros build-engine`: TensorRT engines ahead of time, so that no robot waits for one."""

from __future__ import annotations

import argparse
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fusion_ros.cli.argument_types import picture_size
from fusion_ros.cli.matching_options import add_by_order, add_rate, add_tolerance
from fusion_ros.streams.outside_text import error_line, say

_EXAMPLES = """\
examples:
  fusion-ros build-engine --size 640x480
  fusion-ros build-engine --size 640x512 --size 1280x1024 --precision float32
  fusion-ros build-engine --size 640x480 --precision int8 --visible day/vis --thermal day/ir
  fusion-ros build-engine --size 640x480 --precision int8 --bag drive.mcap
  fusion-ros build-engine --params robot.yaml

Run it on the machine that will use the engine. Each engine is checked against PyTorch before it is
used (docs/how-to/jetson.md). Exit codes: 0 all built, 1 some failed, 2 could not begin.
"""
HEARTBEAT_S = 10.0
MOST_CALIBRATION_PAIRS = 200


def add_parser(subparsers: Any) -> None:
    """Add `build-engine` to the sub-commands of `fusion-ros`."""
    parser = subparsers.add_parser(
        "build-engine",
        help="build TensorRT engines ahead of time",
        description="Builds TensorRT engines for picture sizes and keeps them in the cache.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--size",
        dest="sizes",
        action="append",
        type=picture_size,
        metavar="WIDTHxHEIGHT",
        help="of the visible camera; may be repeated (default: 640x480)",
    )
    network = parser.add_mutually_exclusive_group()
    network.add_argument("--preset", metavar="NAME", help="default: compact")
    network.add_argument("--weights", type=Path, metavar="FILE", help="safetensors of your own")
    parser.add_argument(
        "--precision",
        choices=("float16", "float32", "int8"),
        help="default: float16; int8 is calibrated with recorded pairs, see below",
    )
    parser.add_argument("--device", metavar="NAME", help="default: cuda")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="default: the user's cache")
    node = parser.add_argument_group("what the fuse node will ask for; the options above win")
    node.add_argument("--params", type=Path, metavar="FILE", help="parameter file of the node")
    node.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="one parameter; wins"
    )
    source = parser.add_argument_group("pairs to calibrate int8 with")
    source.add_argument("--visible", type=Path, metavar="PATH", help="folder, video or picture")
    source.add_argument("--thermal", type=Path, metavar="PATH", help="its partner")
    source.add_argument("--bag", type=Path, metavar="PATH", help="a bag instead of the two")
    source.add_argument("--visible-topic", metavar="NAME", help="in the bag; found by its name")
    source.add_argument("--thermal-topic", metavar="NAME", help="in the bag; found by its name")
    add_by_order(source)
    add_tolerance(source)
    add_rate(source)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Build; see the module's exit codes."""
    from fusion_ros.parameters.files import read_parameters
    from fusion_ros.parameters.table import FuseParameters

    values = FuseParameters.from_values(read_parameters(args.params, args.set))
    precision = args.precision or values.precision
    folders = bool(args.visible and args.thermal)
    if precision == "int8" and folders == bool(args.bag):
        raise ValueError("int8 needs either --visible and --thermal, or --bag")
    from fusion_ros.engines.choice import choose
    from fusion_ros.engines.engine_cache import EngineCache
    from fusion_ros.engines.tensorrt_engine import TensorRtEngine
    from fusion_ros.model.weights import load_weights, shipped_weights

    # A preset on the command line wins over weights in the file.
    named = args.weights or ("" if args.preset else values.weights)
    weights = load_weights(named or shipped_weights(args.preset or values.preset))
    engine = TensorRtEngine(
        weights,
        device=args.device or choose("tensorrt", values.device).device,
        precision=precision,
        cache=EngineCache(args.cache),
    )
    failed = 0
    for width, height in args.sizes or [(values.warm_up_width, values.warm_up_height)]:
        try:
            samples = None
            if precision == "int8":
                samples = calibration_pairs(
                    args.bag or args.visible,
                    None if args.bag else args.thermal,
                    (height, width),
                    engine.visible_channels,
                    visible_topic=args.visible_topic,
                    thermal_topic=args.thermal_topic,
                    by_order=args.by_order,
                    tolerance_ms=args.tolerance_ms,
                    rate_hz=args.rate,
                    tell=_say,
                )
            with _heartbeat():
                engine.build(height, width, calibration=samples, tell=_say)
        except Exception as error:  # this size fails, the others may be built
            failed += 1
            say(f"{width}x{height} failed: {error_line(error)}", error=True)
    return 1 if failed else 0


def calibration_pairs(
    source: Path,
    partner: Path | None,
    size: tuple[int, int],
    visible_channels: int,
    **options: Any,
) -> list[tuple[Any, Any]]:
    """Pictures as the engine gets them: (height, width) `uint8`, luma or RGB, and thermal.

    At most `MOST_CALIBRATION_PAIRS`, spread over the recording.

    Args:
        source: a bag, or the visible folder, video or picture.
        partner: the thermal one; None for a bag.
        size: (height, width).
        visible_channels: of the engine.
        options: see `recorded_pairs`.

    Raises:
        InputError: no pairs, or pictures that cannot be read.
        RecordingError: what `source` names cannot be read as a recording.
    """
    import cv2

    from fusion_ros.imaging.colour import luma
    from fusion_ros.recordings.output_files import InputError
    from fusion_ros.recordings.sampled_pairs import recorded_pairs
    from fusion_ros.thermal.tone import ThermalToneMapper

    result = []
    for _, visible, thermal in recorded_pairs(
        source, partner=partner, most=MOST_CALIBRATION_PAIRS, **options
    ):
        seen = visible.as_rgb()
        if visible_channels == 1:
            seen = luma(seen)
        elif seen.ndim == 2:
            seen = cv2.cvtColor(seen, cv2.COLOR_GRAY2RGB)
        felt = ThermalToneMapper()(luma(thermal.pixels, order=thermal.order))
        result.append(
            tuple(
                cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA)
                for picture in (seen, felt)
            )
        )
    if not result:
        raise InputError(f"{source} holds no pairs of pictures")
    return result


@contextmanager
def _heartbeat() -> Iterator[None]:
    """A sign of life while TensorRT says nothing."""
    done = threading.Event()

    def beat() -> None:
        seconds = 0.0
        while not done.wait(HEARTBEAT_S):
            seconds += HEARTBEAT_S
            _say(f"  still building, {seconds:.0f} s")

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _say(line: str) -> None:
    say(line)
