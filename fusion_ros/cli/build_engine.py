# SPDX-License-Identifier: Apache-2.0
"""`fusion-ros build-engine`: TensorRT engines ahead of time, so that no robot waits for one."""

from __future__ import annotations

import argparse
from typing import Any

from fusion_ros.cli.argument_types import image_size
from fusion_ros.cli.options import PARAMETERS, add_options, add_weights, opt
from fusion_ros.nodes.runtime.log_lines import progress
from fusion_ros.outside_text import error_line, say

_EXAMPLES = """\
examples:
  fusion-ros build-engine --size 640x480
  fusion-ros build-engine --size 640x512 --size 1280x1024 --precision float32
  fusion-ros build-engine --params robot.yaml

Run it on the machine that will use the engine: an engine fits one GPU and one TensorRT version.
A build takes 1 to 10 minutes. Each engine is compared with PyTorch before it is stored
(docs/how-to/jetson.md).
Exit codes: 0 all engines were built, 1 some failed, 2 nothing could be built.
"""


def add_parser(subparsers: Any) -> None:
    """Add `build-engine` to the sub-commands of `fusion-ros`."""
    parser = subparsers.add_parser(
        "build-engine",
        help="build TensorRT engines ahead of time",
        description="Builds a TensorRT engine for each image size and stores it in the cache, "
        "where the fuse node finds it.",
        epilog=_EXAMPLES,
    )
    # fmt: off
    add_options(
        parser,
        opt("--size WIDTHxHEIGHT", "image size of the visible camera in pixels, such as 1280x1024; "
            "repeatable (default: warm_up_width x warm_up_height of --params, else 640x480)",
            dest="sizes", action="append", type=image_size),
        opt("--precision NAME", "arithmetic of the engine: float16 or float32 (default: that of "
            "--params, else float16)", choices=("float16", "float32")),
        opt("--device NAME", "GPU to build on, as cuda or cuda:1 (default: cuda)"),
        opt("--cache DIR", "folder for the engines (default: $FUSION_ROS_CACHE, else "
            "~/.cache/fusion_ros/engines); the node must use the same one"),
    )
    # fmt: on
    add_weights(parser)
    group = parser.add_argument_group("parameters of the fuse node (the options above win)")
    add_options(group, *PARAMETERS)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Build the engines and return the exit code."""
    from fusion_ros.engines.choice import choose
    from fusion_ros.engines.engine_cache import EngineCache
    from fusion_ros.engines.tensorrt.engine import TensorRtEngine
    from fusion_ros.model.weights import load_weights, shipped_weights
    from fusion_ros.parameters import FuseParameters
    from fusion_ros.parameters.files import read_parameters

    values = FuseParameters.from_values(read_parameters(args.params, args.set))
    # --preset also overrides the weights of the parameter file.
    named = args.weights or ("" if args.preset else values.weights)
    engine = TensorRtEngine(
        load_weights(named or shipped_weights(args.preset or values.preset)),
        device=args.device or choose("tensorrt", values.device).device,
        precision=args.precision or values.precision,
        cache=EngineCache(args.cache),
    )
    failed = False
    for width, height in args.sizes or [(values.warm_up_width, values.warm_up_height)]:
        try:
            with progress(say, "  building"):  # TensorRT reports none
                engine.build(height, width, notify=say)
        except Exception as error:  # the other sizes may succeed
            failed = True
            say(f"{width}x{height} failed: {error_line(error)}", error=True)
    return 1 if failed else 0
