# SPDX-License-Identifier: Apache-2.0
"""Time engines, precisions and sizes from `uint8` input to `uint8` output.

    python -m benchmarks.engines [--preset compact] [--sizes 640x480 ...] [--json FILE]

ONNX Runtime, which is not an engine of this package, is included if it is installed. The error of
each image is against PyTorch in float32.
"""

from __future__ import annotations

import importlib.util
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.report.tables import cell, options, report
from benchmarks.report.timing import Sample, measure
from fusion_ros.cli.argument_types import image_size
from fusion_ros.engines.choice import create_engine, probe_engines
from fusion_ros.engines.engine import Engine, EngineError
from fusion_ros.engines.parity import Parity, compare, golden_pair
from fusion_ros.engines.process import configure_process
from fusion_ros.model.config import PRESETS
from fusion_ros.model.onnx_file import read_onnx
from fusion_ros.model.weights import LoadedWeights, load_weights, shipped_weights

SIZES = ((320, 256), (640, 480), (640, 512), (1280, 1024), (1920, 1080))
PRECISIONS = ("float32", "bfloat16", "int8", "float16")
REFERENCE = "torch cpu float32"


def engines_for(weights: LoadedWeights, precisions: list[str]) -> dict[str, Engine]:
    """Create every available engine in each precision; print a line for each other one."""
    engines = {}
    for probe in probe_engines():
        if not probe.available:
            print(f"left out: {probe.name} on {probe.device}: {probe.why}")
            continue
        for precision in precisions:
            wanted = {"name": probe.name, "device": probe.device, "precision": precision}
            name = " ".join(wanted.values())
            try:
                engines[name] = create_engine(weights, **wanted)
            except EngineError as error:
                print(f"left out: {name}: {error}")
    return engines


def calls_at(
    engines: dict[str, Engine], weights: LoadedWeights, height: int, width: int
) -> tuple[dict[str, Callable[[], np.ndarray]], dict[str, Parity]]:
    """Return each engine's call on one pair of this size, warmed up, and its error."""
    visible, thermal = pair = golden_pair(height, width, weights.metadata.config.visible_channels)
    calls: dict[str, Callable[[], np.ndarray]] = {}
    for name, engine in engines.items():
        try:
            engine.warm_up(height, width)
        except EngineError as error:
            print(f"left out: {name} at {width}x{height}: {error}")
            continue
        calls[name] = lambda engine=engine: engine.infer(*pair)
    if importlib.util.find_spec("onnxruntime") is not None:
        import onnxruntime

        providers = ["CPUExecutionProvider"]
        session = onnxruntime.InferenceSession(read_onnx(weights), providers=providers)
        shape = (1, *thermal.shape, -1)
        fed = {"visible": visible.reshape(shape), "thermal": thermal.reshape(shape)}
        calls["(onnxruntime cpu float32)"] = lambda: session.run(None, fed)[0][0].squeeze()
    wanted = calls[REFERENCE]() if REFERENCE in calls else None
    parities = {name: compare(call(), wanted) for name, call in calls.items() if wanted is not None}
    return calls, parities


def cells(
    timed: dict[tuple[int, int], Sample], off: list[Parity], sizes: Sequence[tuple[int, int]]
) -> list[str]:
    """Return an engine's time at each size, the line fitted through them, and its errors."""
    line = errors = "-"
    if len(timed) > 1:
        megapixels = [width * height / 1e6 for width, height in timed]
        medians = [sample.median_ms for sample in timed.values()]
        line = "{:.1f} + {:.1f}".format(*np.polyfit(megapixels, medians, 1))
    if off:
        errors = f"{max(p.max_error for p in off):.0f}, {max(p.mean_error for p in off):.2f}"
    return [*(cell(timed[size]) if size in timed else "-" for size in sizes), line, errors]


def main() -> int:
    """Run and print."""
    parser = options(__doc__)
    parser.add_argument("--preset", default="compact", choices=PRESETS)
    parser.add_argument("--sizes", nargs="+", type=image_size, default=SIZES, metavar="SIZE")
    parser.add_argument("--precisions", nargs="+", default=PRECISIONS[:3], choices=PRECISIONS)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=4.0, help="for each size")
    args = parser.parse_args()
    configure_process()
    weights = load_weights(shipped_weights(args.preset))
    engines = engines_for(weights, args.precisions)
    found: dict[str, dict[tuple[int, int], Sample]] = defaultdict(dict)
    errors: dict[str, list[Parity]] = defaultdict(list)
    for width, height in args.sizes:
        calls, parities = calls_at(engines, weights, height, width)
        samples = measure(calls, runs=args.runs, warm_up=0, seconds=args.seconds)
        for name, sample in samples.items():
            found[name][width, height] = sample
            print(f"{name} {width}x{height}: {cell(sample)}", flush=True)
        for name, parity in parities.items():
            errors[name].append(parity)
    rows = [[name, *cells(timed, errors[name], args.sizes)] for name, timed in found.items()]
    sizes = [f"{width}x{height}" for width, height in args.sizes]
    header = ["median (best)", *sizes, "ms a megapixel + fixed", "off by: max, mean grey levels"]
    return report(args.json, f"Engines, `{args.preset}`", header, rows)


if __name__ == "__main__":
    sys.exit(main())
