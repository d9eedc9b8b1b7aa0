# SPDX-License-Identifier: Apache-2.0
"""Compare with other fusion methods: classical ones and networks of published shapes.

    python -m benchmarks.rivals [--size 640x480] [--json FILE]

The networks are rebuilt from their papers with random weights in eager float32 PyTorch, as in
public code. Only their time is measured, not their images.
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
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.tables import Target, cell, report
from benchmarks.timing import measure
from fusion_ros.cli.argument_types import image_size
from fusion_ros.engines.choice import create_engine
from fusion_ros.engines.cpu import cpu_has_fast_bfloat16
from fusion_ros.engines.parity import Parity, compare, golden_pair
from fusion_ros.engines.process import configure_process
from fusion_ros.imaging.colour import LumaReplacer, luma
from fusion_ros.model.byte_network import ByteNetwork
from fusion_ros.model.config import PRESETS
from fusion_ros.model.network import FusionNet
from fusion_ros.model.weights import load_weights, shipped_weights
from fusion_ros.pipeline import FusionPipeline

PYRAMID, PLAIN = "Laplacian pyramid, colour", "paper, plain eager"
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


def guided_filter(visible: np.ndarray, thermal: np.ndarray) -> np.ndarray:
    """Fuse two scales with weights smoothed by a guided filter (Li, Kang and Hu, TIP 2013)."""

    def smooth(guide: np.ndarray, weights: np.ndarray, radius: int, eps: float) -> np.ndarray:
        def box(x: np.ndarray) -> np.ndarray:
            return cv2.boxFilter(x, -1, (2 * radius + 1, 2 * radius + 1))

        mean, target = box(guide), box(weights)
        slope = (box(guide * weights) - mean * target) / (box(guide * guide) - mean * mean + eps)
        return box(slope) * guide + box(target - slope * mean)

    sources = [image.astype(np.float32) / 255 for image in (visible, thermal)]
    salience = [
        cv2.GaussianBlur(np.abs(cv2.Laplacian(source, cv2.CV_32F)), (11, 11), 5)
        for source in sources
    ]
    seen_wins = (salience[0] >= salience[1]).astype(np.float32)
    bases = [cv2.blur(source, (31, 31)) for source in sources]
    result = np.zeros_like(sources[0])
    for radius, eps, parts in (
        (45, 0.3, bases),
        (7, 1e-6, [s - b for s, b in zip(sources, bases, strict=True)]),
    ):
        weights = [
            np.clip(smooth(source, wins, radius, eps), 0, 1)
            for source, wins in zip(sources, (seen_wins, 1 - seen_wins), strict=True)
        ]
        total = weights[0] + weights[1] + 1e-6
        result += (weights[0] * parts[0] + weights[1] * parts[1]) / total
    return np.clip(result * 255, 0, 255).astype(np.uint8)


class IfcnnLike(nn.Module):
    """After Zhang et al., "IFCNN", Information Fusion 2020: 7x7, 3x3, maximum, 3x3, 1x1 at 64."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 64, 7, padding=3)
        self.second = nn.Conv2d(64, 64, 3, padding=1)
        self.third = nn.Conv2d(64, 64, 3, padding=1)
        self.last = nn.Conv2d(64, 3, 1)

    def forward(self, visible: Tensor, thermal: Tensor) -> Tensor:
        features = [
            F.relu(self.second(F.relu(self.first(x))))
            for x in (visible, thermal.expand(-1, 3, -1, -1))
        ]
        return self.last(F.relu(self.third(torch.maximum(*features))))


class GradientBlock(nn.Module):
    """SeAFusion's gradient residual dense block: dense 3x3 pair beside a Sobel branch."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(width_in, width_in, 3, padding=1)
        self.two = nn.Conv2d(2 * width_in, width_in, 3, padding=1)
        self.joined = nn.Conv2d(3 * width_in, width_out, 1)
        self.sobel_x = nn.Conv2d(width_in, width_in, 3, padding=1, groups=width_in, bias=False)
        self.sobel_y = nn.Conv2d(width_in, width_in, 3, padding=1, groups=width_in, bias=False)
        self.edges = nn.Conv2d(width_in, width_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        dense = torch.cat((x, F.leaky_relu(self.one(x), 0.1)), dim=1)
        dense = torch.cat((dense, F.leaky_relu(self.two(dense), 0.1)), dim=1)
        edges = self.edges(self.sobel_x(x).abs() + self.sobel_y(x).abs())
        return F.leaky_relu(self.joined(dense) + edges, 0.1)


class SeaFusionLike(nn.Module):
    """After Tang et al., "SeAFusion", Information Fusion 2022: two streams of 16, 32, 48."""

    def __init__(self) -> None:
        super().__init__()

        def stream() -> nn.Sequential:
            return nn.Sequential(
                nn.Conv2d(1, 16, 3, padding=1),
                nn.LeakyReLU(0.1),
                GradientBlock(16, 32),
                GradientBlock(32, 48),
            )

        self.seen, self.felt = stream(), stream()
        layers: list[nn.Module] = []
        for before, after in ((96, 64), (64, 32), (32, 16)):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.LeakyReLU(0.1)]
        self.decoder = nn.Sequential(*layers, nn.Conv2d(16, 1, 3, padding=1), nn.Tanh())

    def forward(self, visible: Tensor, thermal: Tensor) -> Tensor:
        return self.decoder(torch.cat((self.seen(visible), self.felt(thermal)), dim=1))


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
    calls["guided filter, colour"] = in_colour(guided_filter, visible, thermal)
    with torch.inference_mode():
        samples = measure(calls, runs=args.runs, warm_up=1, seconds=args.seconds)
    alone = f"{PLAIN}, alone in its process"
    rows = []
    for name, sample in sorted({**samples, alone: plain}.items(), key=lambda x: x[1].median_ms):
        cost = [f"{number:.2f}" for number in costs.get(name, ())] or ["", ""]
        rows.append([name, cell(sample), *cost])
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
        "One process, methods in turn. Networks of others are rebuilt from their papers with "
        "random weights and run in eager float32."
    ]
    title = f"Comparison with other methods at {size}"
    header = ["", "median (best)", "weights M", "GFLOP"]
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
