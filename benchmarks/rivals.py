# SPDX-License-Identifier: Apache-2.0
"""Compare with other fusion methods: classical ones and networks of published shapes.

    python -m benchmarks.rivals [--size 640x480] [--json FILE]

The networks of others are rebuilt with random weights (see `rival_networks`) and run in eager
float32 PyTorch, as in public code. Only their time is measured, not their images. The image
figures of the other rows are those of docs/measurements/quality.json.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.report.pages import MEASUREMENTS
from benchmarks.report.tables import Target, cell, load, options, report
from benchmarks.report.timing import Sample, measure
from benchmarks.rival_networks import IfcnnLike, LutFuseLike, MmdrFuseLike, SeaFusionLike
from fusion_ros.engines.choice import create_engine
from fusion_ros.engines.cpu import cpu_has_fast_bfloat16
from fusion_ros.engines.parity import golden_pair
from fusion_ros.engines.process import configure_process
from fusion_ros.imaging.colour import LumaReplacer, luma
from fusion_ros.metrics.baselines import guided_filter, laplacian_pyramid
from fusion_ros.model.byte_network import ByteNetwork
from fusion_ros.model.config import PRESETS
from fusion_ros.model.network import FusionNet
from fusion_ros.model.weights import load_weights, shipped_weights
from fusion_ros.pipeline import FusionPipeline

PYRAMID, PLAIN = "Laplacian pyramid, colour", "paper, plain eager"
GUIDED, ALONE = "guided filter, colour", f"{PLAIN}, alone in its process"
#: Rows of quality.json by the beginning of a row's name.
JUDGED = {
    "compact, ours, float32": "`compact` 1.3 (default)",
    "compact, ours, bfloat16": "`compact` 1.3 (default)",
    "paper, ours": "`paper`, this project",
    PYRAMID: "Laplacian pyramid, 5 levels",
    GUIDED: "guided filter",
}
#: `paper` of this package compared with the public code's network in eager float32.
LEAST_PAPER_TIMES = 6.0
#: Whole path of `compact` compared with the Laplacian pyramid in colour.
MOST_PYRAMIDS = 1.3
COLUMNS = ["", "median (best)", "weights M", "GFLOP", "Qw", "Qe"]
NOTE = (
    "One process, methods in turn. Networks of others are rebuilt with random weights and run in "
    "eager float32, so they have no image figures. Qw and Qe: see fusion quality; of int8 see the "
    "card of the weights. CDDFuse's shape took 16184 ms (1104.92 GFLOP), last measured at commit "
    "8558a91 and removed after it."
)
Calls = dict[str, Callable[[], object]]
Costs = dict[str, tuple[float, float]]


def counted(net: nn.Module, *inputs: Tensor) -> tuple[float, float]:
    """Return millions of weights and GFLOP (a multiply-add is two) for these inputs."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        net(*inputs)
    return sum(p.numel() for p in net.parameters()) / 1e6, counter.get_total_flops() / 1e9


def eager_networks(height: int, width: int) -> tuple[Calls, Costs]:
    """Return a call of each network in eager PyTorch, and its cost."""
    nets: dict[str, tuple[nn.Module, int]] = {
        PLAIN: (FusionNet(PRESETS["paper"]), 3),
        "IFCNN-like, eager": (IfcnnLike(), 3),
        "SeAFusion-like, eager": (SeaFusionLike(), 1),
        "MMDRFuse-like, eager": (MmdrFuseLike(), 1),
        "LUT-Fuse-like, eager": (LutFuseLike(), 3),
        "compact, plain eager": (FusionNet(PRESETS["compact"]), 1),
    }
    calls, costs = {}, {}
    for name, (net, channels) in nets.items():
        planes = torch.rand(1, channels, height, width), torch.rand(1, 1, height, width)
        costs[name] = counted(net.eval(), *planes)
        calls[name] = lambda net=net, planes=planes: net(*planes)
    return calls, costs


def our_pipelines(visible: np.ndarray, thermal: np.ndarray) -> tuple[Calls, Costs]:
    """Return the whole path of each preset and precision, and its cost in the form that runs."""
    height, width = thermal.shape
    calls, costs = {}, {}
    for preset in ("compact", "paper"):
        net = ByteNetwork(load_weights(shipped_weights(preset)).net).net
        planes = torch.zeros(1, net.config.visible_channels, height, width)
        cost = counted(net, planes, torch.zeros(1, 1, height, width))
        runs = {
            "float32": True,
            "bfloat16": cpu_has_fast_bfloat16(),
            "int8": preset == "compact",
        }
        for precision in (name for name, does in runs.items() if does):
            weights = load_weights(shipped_weights(preset))
            pipeline = FusionPipeline(create_engine(weights, device="cpu", precision=precision))
            pipeline.warm_up(height, width)
            name = f"{preset}, ours, {precision}, whole path"
            calls[name] = lambda pipeline=pipeline: pipeline.fuse(visible, thermal)
            costs[name] = cost
    return calls, costs


def in_colour(
    fuse: Callable[[np.ndarray, np.ndarray], np.ndarray], visible: np.ndarray, thermal: np.ndarray
) -> Callable[[], np.ndarray]:
    """Return a baseline's fusion of the luma that restores the colour, as the pipeline does."""
    replace = LumaReplacer()

    def run() -> np.ndarray:
        grey = luma(visible)
        fused = fuse(*(np.float32(image) / 255 for image in (grey, thermal)))
        return replace(visible, np.uint8(255 * fused + 0.5), old_luma=grey)

    return run


def judged(name: str) -> list[str]:
    """Return Qw and Qe of a method, empty where it was not judged."""
    rows = {row[0]: row[1:3] for row in load(MEASUREMENTS / "quality.json").rows}
    known = [rows[row] for begin, row in JUDGED.items() if name.startswith(begin)]
    return known[0] if known else ["", ""]


def targets_of(samples: dict[str, Sample]) -> list[Target]:
    """Return the targets: `compact` against the pyramid, `paper` against the public code."""
    medians = {name: sample.median_ms for name, sample in samples.items()}
    ours_ms = min(took for name, took in medians.items() if name.startswith("compact, ours"))
    ratio = ours_ms / medians[PYRAMID]
    asked = f"`compact`, whole path, in at most {MOST_PYRAMIDS:g} times the pyramid's time"
    measured = f"{ours_ms:.2f} ms of {medians[PYRAMID]:.2f} ms, {ratio:.2f}"
    targets = [Target(asked, measured, ratio <= MOST_PYRAMIDS)]
    # Alone in its process it corresponds to the public code; in turn with the engines of this
    # package it, too, profits from kept memory.
    for name in (name for name in medians if name.startswith("paper, ours")):
        for how, plain in (("alone in its process", ALONE), ("in turn", PLAIN)):
            times = medians[plain] / medians[name]
            asked = f"{name}: at least {LEAST_PAPER_TIMES:.0f} times faster than plain eager, {how}"
            targets.append(Target(asked, f"{times:.1f}", times >= LEAST_PAPER_TIMES))
    return targets


def main() -> int:
    """Run and print."""
    parser = options(__doc__, "640x480")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=25.0)
    args = parser.parse_args()
    width, height = args.size
    visible, thermal = golden_pair(height, width, 3)
    calls, costs = eager_networks(height, width)
    with torch.inference_mode():
        # Before `configure_process`, which makes PyTorch faster for the rest of the process.
        alone = measure({ALONE: calls[PLAIN]}, runs=5, warm_up=1, seconds=10)
        configure_process()
        our_calls, our_costs = our_pipelines(visible, thermal)
        calls |= our_calls
        costs |= our_costs
        calls[PYRAMID] = in_colour(laplacian_pyramid, visible, thermal)
        calls[GUIDED] = in_colour(guided_filter, visible, thermal)
        samples = alone | measure(calls, runs=args.runs, warm_up=1, seconds=args.seconds)
    rows = []
    for name, sample in sorted(samples.items(), key=lambda named: named[1].median_ms):
        cost = [f"{n:.2f}" if n > 0.01 else f"{n:.6f}" for n in costs.get(name, ())] or ["", ""]
        rows.append([name, cell(sample), *cost, *judged(name)])
    title = f"Comparison with other methods at {width}x{height}"
    return report(args.json, title, COLUMNS, rows, notes=[NOTE], targets=targets_of(samples))


if __name__ == "__main__":
    sys.exit(main())
