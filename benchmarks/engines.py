# SPDX-License-Identifier: Apache-2.0
"""Engines x presets x sizes: `uint8` in to `uint8` out, and how cost grows with the picture.

    python -m benchmarks.engines [--presets compact paper] [--sizes 640x480 ...] [--json FILE]

Weights of a preset that ships none are random: they cost the same.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from benchmarks.timing import HEADER, Sample, as_row, machine, measure, report
from fusion_ros.engines.choice import create_engine, probe_engines
from fusion_ros.engines.engine import EngineError
from fusion_ros.engines.parity import golden_pair
from fusion_ros.model.config import preset
from fusion_ros.model.network import FusionNet
from fusion_ros.model.weights import (
    LoadedWeights,
    WeightsError,
    WeightsMetadata,
    load_weights,
    shipped_weights,
)

SIZES = ("320x256", "640x480", "640x512", "1280x1024", "1920x1080")
DEFAULT_SIZES = ("320x256", "640x480", "1280x1024")


def weights_for(name: str) -> LoadedWeights:
    """Shipped weights, or random ones of the same shape."""
    try:
        return load_weights(shipped_weights(name))
    except WeightsError:
        torch.manual_seed(0)
        metadata = WeightsMetadata(name, preset(name), "none: random", {}, "random", "0" * 64)
        return LoadedWeights(FusionNet(preset(name)).eval(), metadata)


def slope(samples: dict[tuple[int, int], Sample]) -> tuple[float, float]:
    """Least squares over sizes: milliseconds a megapixel, and milliseconds before the first."""
    megapixels = [width * height / 1e6 for width, height in samples]
    best = [sample.best_ms for sample in samples.values()]
    per_megapixel, fixed = np.polyfit(megapixels, best, 1)
    return float(per_megapixel), float(fixed)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presets", nargs="+", default=["compact", "paper"])
    parser.add_argument("--sizes", nargs="+", default=DEFAULT_SIZES, help=f"such as {SIZES}")
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=6.0, help="for each size")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    sizes = [tuple(int(n) for n in size.split("x")) for size in args.sizes]
    print(machine())
    rows = []
    for preset_name in args.presets:
        weights = weights_for(preset_name)
        engines = {}
        for probe in probe_engines():
            if not probe.available:
                print(f"left out: {probe.name} on {probe.device}: {probe.why}")
                continue
            try:
                label = f"{probe.name} {probe.device}"
                engines[label] = create_engine(weights, name=probe.name, device=probe.device)
            except EngineError as error:
                print(f"left out: {probe.name} on {probe.device}: {error}")
        found: dict[str, dict[tuple[int, int], Sample]] = {name: {} for name in engines}
        print(f"\n{preset_name:28s} {'ms:':>3s} {HEADER}  megapixels/s")
        for width, height in sizes:
            calls = {}
            for name, engine in list(engines.items()):
                pair = golden_pair(height, width, engine.visible_channels)
                try:
                    engine.warm_up(height, width)
                except EngineError as error:
                    print(f"left out: {name} at {width}x{height}: {error}")
                    continue
                calls[name] = lambda engine=engine, pair=pair: engine.infer(*pair)
            for name, sample in measure(
                calls, runs=args.runs, warm_up=1, seconds=args.seconds
            ).items():
                found[name][width, height] = sample
                rate = width * height / 1e3 / sample.median_ms
                print(f"  {name:15s} {width:4d}x{height:<4d}    {sample} {rate:9.1f}")
                labels = {"preset": preset_name, "engine": name, "size": f"{width}x{height}"}
                rows.append(as_row(sample, **labels))
        for name, samples in found.items():
            if len(samples) > 1:
                per_megapixel, fixed = slope(samples)
                print(f"  {name}: {per_megapixel:.1f} ms a megapixel + {fixed:.1f} ms")
    report(args.json, "engines", rows)


if __name__ == "__main__":
    main()
