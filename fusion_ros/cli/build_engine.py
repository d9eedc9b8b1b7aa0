# SPDX-License-Identifier: Apache-2.0
"""`fusion-ros build-engine`: TensorRT engines ahead of time, so that no robot waits for one."""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_EXAMPLES = """\
examples:
  fusion-ros build-engine --size 640x480
  fusion-ros build-engine --size 640x512 --size 1280x1024 --precision float32
  fusion-ros build-engine --size 640x480 --precision int8 --visible day/vis --thermal day/ir

Run it on the machine that will use the engine. Each engine is checked against PyTorch before it is
used; docs/jetson.md tells the rest. Exit codes: 0 all built, 1 some failed, 2 could not begin.
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
        type=_size,
        metavar="WIDTHxHEIGHT",
        help="of the visible camera; may be repeated (default: 640x480)",
    )
    network = parser.add_mutually_exclusive_group()
    network.add_argument("--preset", default="compact", metavar="NAME", help="default: compact")
    network.add_argument("--weights", type=Path, metavar="FILE", help="safetensors of your own")
    parser.add_argument(
        "--precision", default="float16", choices=("float16", "float32", "int8"), help="see above"
    )
    parser.add_argument("--device", default="cuda:0", metavar="NAME", help="default: cuda:0")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="default: the user's cache")
    parser.add_argument("--visible", type=Path, metavar="DIR", help="pictures to calibrate int8")
    parser.add_argument("--thermal", type=Path, metavar="DIR", help="their partners")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Build; see the module's exit codes."""
    if args.precision == "int8" and not (args.visible and args.thermal):
        print("fusion-ros build-engine: int8 needs --visible and --thermal", file=sys.stderr)
        return 2
    from fusion_ros.engines.engine import EngineError
    from fusion_ros.engines.engine_cache import EngineCache
    from fusion_ros.engines.tensorrt_engine import TensorRtEngine
    from fusion_ros.model.weights import load_weights, shipped_weights

    try:
        weights = load_weights(args.weights or shipped_weights(args.preset))
        engine = TensorRtEngine(
            weights,
            device=args.device,
            precision=args.precision,
            cache=EngineCache(args.cache),
        )
    except (ValueError, RuntimeError) as error:
        print(f"fusion-ros build-engine: {error}", file=sys.stderr)
        return 2
    failed = 0
    for width, height in args.sizes or [(640, 480)]:
        try:
            samples = None
            if args.precision == "int8":
                samples = calibration_pairs(
                    args.visible, args.thermal, (height, width), engine.visible_channels
                )
            with _heartbeat():
                engine.build(height, width, calibration=samples, tell=_say)
        except (EngineError, ValueError, OSError) as error:
            failed += 1
            print(f"{width}x{height} failed: {error}", file=sys.stderr)
    return 1 if failed else 0


def calibration_pairs(
    visible: Path, thermal: Path, size: tuple[int, int], visible_channels: int
) -> list[tuple[Any, Any]]:
    """Pictures as the engine gets them: (height, width) `uint8`, luma or RGB, and thermal.

    At most `MOST_CALIBRATION_PAIRS`, spread over the folder.

    Raises:
        InputError: no pairs of pictures.
    """
    import cv2

    from fusion_ros.cli.pictures import InputError, find_pairs, read_thermal, read_visible
    from fusion_ros.imaging.tone import ThermalToneMapper

    pairs = [pair for pair in find_pairs(visible, thermal).pairs if not pair.is_video]
    if not pairs:
        raise InputError(f"{visible} and {thermal} hold no pairs of pictures")
    chosen = pairs[:: -(-len(pairs) // MOST_CALIBRATION_PAIRS)]
    result = []
    for pair in chosen:
        seen = cv2.resize(read_visible(pair.visible), size[::-1], interpolation=cv2.INTER_AREA)
        felt = ThermalToneMapper()(read_thermal(pair.thermal))
        felt = cv2.resize(felt, size[::-1], interpolation=cv2.INTER_AREA)
        if visible_channels == 1 and seen.ndim == 3:
            seen = cv2.cvtColor(seen, cv2.COLOR_BGR2GRAY)
        elif visible_channels == 3:
            kind = cv2.COLOR_GRAY2RGB if seen.ndim == 2 else cv2.COLOR_BGR2RGB
            seen = cv2.cvtColor(seen, kind)
        result.append((seen, felt))
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
    print(line, flush=True)


def _size(text: str) -> tuple[int, int]:
    width, cross, height = text.partition("x")
    if not (cross and width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"{text!r}; allowed is WIDTHxHEIGHT, as 640x480")
    return int(width), int(height)
