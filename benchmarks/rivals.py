# SPDX-License-Identifier: Apache-2.0
"""Compare with other fusion methods: classical ones and networks of published shapes.

    python -m benchmarks.rivals [--size 640x480] [--json FILE]

The networks of others are rebuilt with random weights (see `rival_networks`) and run in eager
float32 PyTorch, as in public code. Only their time is measured, not their images. The image
figures of the other rows are those of docs/measurements/quality.json.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.report.pages import MEASUREMENTS
from benchmarks.report.tables import Target, cell, load, report
from benchmarks.report.timing import measure
from benchmarks.rival_networks import (
    CddFuseLike,
    IfcnnLike,
    LutFuseLike,
    MmdrFuseLike,
    SeaFusionLike,
)
from fusion_ros.cli.argument_types import image_size
from fusion_ros.engines.choice import create_engine
from fusion_ros.engines.cpu import cpu_has_fast_bfloat16
from fusion_ros.engines.parity import Parity, compare, golden_pair
from fusion_ros.engines.process import configure_process
from fusion_ros.imaging.colour import LumaReplacer, luma
from fusion_ros.metrics.baselines import guided_filter
from fusion_ros.model.byte_network import ByteNetwork
from fusion_ros.model.config import PRESETS
from fusion_ros.model.network import FusionNet
from fusion_ros.model.weights import load_weights, shipped_weights
from fusion_ros.pipeline import FusionPipeline

PYRAMID, PLAIN = "Laplacian pyramid, colour", "paper, plain eager"
GUIDED, CDD_FUSE = "guided filter, colour", "CDDFuse-like, eager"
#: Rows of quality.json by the beginning of a row's name.
JUDGED = {
    "compact, ours": "`compact` 1.3 (default)",
    "paper, ours": "`paper`, this project",
    PYRAMID: "Laplacian pyramid, 5 levels",
    GUIDED: "guided filter",
}
#: `paper` of this package compared with the public code's network in eager float32.
LEAST_PAPER_TIMES, MOST_PAPER_LEVELS = 6.0, 2.0


def laplacian_pyramid(visible: np.ndarray, thermal: np.ndarray, levels: int = 5) -> np.ndarray:
    """Fuse by a pyramid of five levels: stronger coefficient, mean of the base."""

    def decompose(image: np.ndarray) -> list[np.ndarray]:
        gaussian = [image.astype(np.float32)]
        for _ in range(levels):
            gaussian.append(cv2.pyrDown(gaussian[-1]))
        bands = [
            fine - cv2.pyrUp(coarse, dstsize=fine.shape[1::-1])
            for fine, coarse in itertools.pairwise(gaussian)
        ]
        return [*bands, gaussian[-1]]

    seen, felt = decompose(visible), decompose(thermal)
    image = (seen[-1] + felt[-1]) / 2
    for a, b in zip(reversed(seen[:-1]), reversed(felt[:-1]), strict=True):
        stronger = np.where(cv2.absdiff(a, np.zeros_like(a)) >= np.abs(b), a, b)
        image = cv2.pyrUp(image, dstsize=a.shape[1::-1]) + stronger
    return cv2.convertScaleAbs(np.maximum(image, 0))


def counted(net: nn.Module, *inputs: Tensor) -> tuple[float, float]:
    """Return millions of weights and GFLOP (a multiply-add is two) for these inputs."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        net(*inputs)
    return sum(p.numel() for p in net.parameters()) / 1e6, counter.get_total_flops() / 1e9


def rewritten_cost(preset: str, height: int, width: int) -> tuple[float, float]:
    """Return `counted` of a preset in its form for inference."""
    net = ByteNetwork(load_weights(shipped_weights(preset)).net).net
    channels = net.config.visible_channels
    return counted(net, torch.zeros(1, channels, height, width), torch.zeros(1, 1, height, width))


def in_colour(
    fuse: Callable[[np.ndarray, np.ndarray], np.ndarray], visible: np.ndarray, thermal: np.ndarray
) -> Callable[[], np.ndarray]:
    """Return a fusion of the luma that restores the colour, as the pipeline does."""
    replace = LumaReplacer()

    def run() -> np.ndarray:
        grey = luma(visible)
        return replace(visible, fuse(grey, thermal), old_luma=grey)

    return run


def _of_bytes(
    fuse: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Return a baseline of images in 0..1 as one of `uint8` images."""
    return lambda *images: np.uint8(255 * fuse(*(np.float32(i) / 255 for i in images)) + 0.5)


def _judged(name: str) -> list[str]:
    """Return Qw and Qe of a method, empty where it was not judged."""
    rows = {row[0]: row[1:3] for row in load(MEASUREMENTS / "quality.json").rows}
    known = [rows[row] for begin, row in JUDGED.items() if name.startswith(begin)]
    return known[0] if known else ["", ""]


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=image_size, default="640x480", metavar="WIDTHxHEIGHT")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=25.0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    width, height = args.size
    size = f"{width}x{height}"
    visible, thermal = golden_pair(height, width, 3)
    nets = {
        PLAIN: (FusionNet(PRESETS["paper"]).eval(), 3),
        "IFCNN-like, eager": (IfcnnLike().eval(), 3),
        "SeAFusion-like, eager": (SeaFusionLike().eval(), 1),
        "MMDRFuse-like, eager": (MmdrFuseLike().eval(), 1),
        "LUT-Fuse-like, eager": (LutFuseLike().eval(), 3),
        CDD_FUSE: (CddFuseLike().eval(), 1),
        "compact, plain eager": (FusionNet(PRESETS["compact"]).eval(), 1),
    }
    calls: dict[str, Callable[[], object]] = {}
    costs: dict[str, tuple[float, float]] = {}
    for name, (net, channels) in nets.items():
        planes = torch.rand(1, channels, height, width), torch.rand(1, 1, height, width)
        costs[name] = counted(net, *planes)
        calls[name] = lambda net=net, planes=planes: net(*planes)
    # Measured before `configure_process`, which makes PyTorch faster for the rest of the process.
    with torch.inference_mode():
        plain = measure({"": calls[PLAIN]}, runs=5, warm_up=1, seconds=10)[""]
    configure_process()
    precisions = ["float32", "bfloat16"] if cpu_has_fast_bfloat16() else ["float32"]
    pipelines = {
        f"{preset}, ours, {precision}, whole path": FusionPipeline(
            create_engine(load_weights(shipped_weights(preset)), device="cpu", precision=precision)
        )
        for preset in ("compact", "paper")
        for precision in precisions
    }
    rewritten_costs = {
        preset: rewritten_cost(preset, height, width) for preset in ("compact", "paper")
    }
    for name, pipeline in pipelines.items():
        costs[name] = rewritten_costs[name.partition(",")[0]]
        pipeline.warm_up(height, width)
        calls[name] = lambda pipeline=pipeline: pipeline.fuse(visible, thermal)
    calls[PYRAMID] = in_colour(laplacian_pyramid, visible, thermal)
    calls[GUIDED] = in_colour(_of_bytes(guided_filter), visible, thermal)
    with torch.inference_mode():
        slowest = {CDD_FUSE: calls.pop(CDD_FUSE)}
        samples = measure(calls, runs=args.runs, warm_up=1, seconds=args.seconds)
        samples |= measure(slowest, runs=1, warm_up=0)  # some 900 GFLOP
    alone = f"{PLAIN}, alone in its process"
    rows = []
    for name, sample in sorted({**samples, alone: plain}.items(), key=lambda x: x[1].median_ms):
        cost = [f"{n:.2f}" if n > 0.01 else f"{n:.6f}" for n in costs.get(name, ())] or ["", ""]
        rows.append([name, cell(sample), *cost, *_judged(name)])
    ours_ms = min(s.median_ms for name, s in samples.items() if name.startswith("compact, ours"))
    pyramid_ms = samples[PYRAMID].median_ms
    targets = [
        Target(
            "`compact`, whole path, faster than the Laplacian pyramid in colour",
            f"{ours_ms:.2f} ms, the pyramid {pyramid_ms:.2f} ms",
            ours_ms < pyramid_ms,
        )
    ]
    # Plain eager alone in its process corresponds to the public code; in turn with the engines of
    # this package it, too, profits from kept memory.
    for precision in precisions:
        paper_ms = samples[f"paper, ours, {precision}, whole path"].median_ms
        for how, slow in (("alone in its process", plain), ("in turn", samples[PLAIN])):
            times = slow.median_ms / paper_ms
            asked = f"at least {LEAST_PAPER_TIMES:.0f} times faster than plain eager, {how}"
            is_met = times >= LEAST_PAPER_TIMES
            targets.append(Target(f"`paper` in {precision}: {asked}", f"{times:.1f}", is_met))
        off = paper_parity(height, width, precision).max_error
        asked = f"`paper` in {precision}: at most {MOST_PAPER_LEVELS:.0f} grey levels off"
        targets.append(Target(asked, f"{off:.0f}", off <= MOST_PAPER_LEVELS))
    notes = [
        "One process, methods in turn. Networks of others are rebuilt with random weights and run "
        "in eager float32, so they have no image figures. Qw and Qe: see fusion quality."
    ]
    title = f"Comparison with other methods at {size}"
    header = ["", "median (best)", "weights M", "GFLOP", "Qw", "Qe"]
    return report(args.json, title, header, rows, notes=notes, targets=targets)


def paper_parity(height: int, width: int, precision: str) -> Parity:
    """Compare `paper` with the network as trained in float32."""
    weights = load_weights(shipped_weights("paper"))
    visible, thermal = golden_pair(height, width, 3)
    planes = [
        torch.from_numpy(image.reshape(height, width, -1)).permute(2, 0, 1)[None] / 127.5 - 1
        for image in (visible, thermal)
    ]
    with torch.inference_mode():
        fused = weights.net(*planes)[0].permute(1, 2, 0)
        wanted = ((fused + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).numpy()
    engine = create_engine(weights, device="cpu", precision=precision)
    return compare(engine.infer(visible, thermal), wanted)


if __name__ == "__main__":
    sys.exit(main())
