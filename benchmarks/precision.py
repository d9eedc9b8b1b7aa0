# SPDX-License-Identifier: Apache-2.0
"""Compare the images of each engine with PyTorch in float32 on real pairs.

    python -m benchmarks.precision --pairs VISIBLE THERMAL [--pairs ...] [--json FILE]

VISIBLE and THERMAL are folders of images that are paired by name, or two videos.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from benchmarks.engines import PRECISIONS, REFERENCE, engines_for
from benchmarks.report.tables import report
from fusion_ros.engines.engine import Engine
from fusion_ros.imaging.colour import luma
from fusion_ros.metrics import score
from fusion_ros.model.config import PRESETS
from fusion_ros.model.weights import load_weights, shipped_weights
from fusion_ros.pipeline import FusionPipeline
from fusion_ros.recordings.sampled_pairs import recorded_pairs

QUALITY = ("qw", "qe")
COLUMNS = ["", "pairs", "largest error", "99.9 % below", "mean error", "off by more than one level"]
COLUMNS += ["Qw", "Qe"]


def pairs_for(
    engine: Engine, visible: Path, thermal: Path, most: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Return recorded pairs in the form that a pipeline passes to the engine without conversion.

    This is luma for a network that fuses luma, otherwise RGB.
    """
    for _, seen, felt in recorded_pairs(visible, partner=thermal, most=most):
        rgb = seen.as_rgb()
        grey = rgb if rgb.ndim == 2 else luma(rgb)
        yield (grey if engine.visible_channels == 1 else rgb), luma(felt.pixels, order=felt.order)


class Comparison:
    """Errors of one engine's images and their quality over a set of pairs."""

    def __init__(self) -> None:
        self.max_errors: list[float] = []
        self.mean_errors: list[float] = []
        self.shares_off: list[float] = []
        self.tails: list[float] = []
        self.scores: list[dict[str, float]] = []

    def add(self, got: np.ndarray, wanted: np.ndarray, sources: tuple[np.ndarray, ...]) -> None:
        """Add one pair: the `uint8` image, the reference, and grey visible and thermal."""
        off = np.abs(got.astype(np.int16) - wanted)
        self.max_errors.append(float(off.max()))
        self.mean_errors.append(float(off.mean()))
        self.shares_off.append(float((off > 1).mean()))
        self.tails.append(float(np.percentile(off, 99.9)))
        grey = got if got.ndim == 2 else luma(got)
        planes = (torch.from_numpy(np.array(x))[None, None] / 255 for x in (*sources, grey))
        self.scores.append(score(*planes, names=QUALITY))

    def cells(self) -> list[str]:
        """Return pairs, largest error, mean tail, range of the means, share and mean quality."""
        return [
            str(len(self.max_errors)),
            f"{max(self.max_errors):.0f}",
            f"{np.mean(self.tails):.1f}",
            f"{min(self.mean_errors):.2f} to {max(self.mean_errors):.2f}",
            f"{np.mean(self.shares_off):.2%} of pixels",
            *(f"{np.mean([s[name] for s in self.scores]):.4f}" for name in QUALITY),
        ]


def compare_on(engines: dict[str, Engine], visible: Path, thermal: Path, most: int) -> dict:
    """Return a `Comparison` for each engine."""
    pipelines = {name: FusionPipeline(engine) for name, engine in engines.items()}
    found = {name: Comparison() for name in engines}
    for seen, felt in pairs_for(engines[REFERENCE], visible, thermal, most):
        wanted = pipelines[REFERENCE].fuse(seen, felt)
        grey = seen if seen.ndim == 2 else luma(seen)
        for name, pipeline in pipelines.items():
            pipeline.reset()
            got = pipeline.fuse(seen, felt)
            found[name].add(got.image, wanted.image, (grey, got.thermal))
    return found


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--pairs",
        nargs=2,
        type=Path,
        action="append",
        required=True,
        metavar=("VISIBLE", "THERMAL"),
    )
    parser.add_argument("--presets", nargs="+", default=list(PRESETS), choices=PRESETS)
    parser.add_argument("--most", type=int, default=21, help="pairs of each set, spread evenly")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = []
    for preset in args.presets:
        engines = engines_for(load_weights(shipped_weights(preset)), list(PRECISIONS[:3]))
        for visible, thermal in args.pairs:
            for engine, comparison in compare_on(engines, visible, thermal, args.most).items():
                rows.append([f"`{preset}`, {visible.parent.name}, {engine}", *comparison.cells()])
                print(" | ".join(rows[-1]), flush=True)
    return report(
        args.json,
        "Error of lower precisions on real pairs",
        [
            "",
            "pairs",
            "largest error",
            "99.9 % below",
            "mean error",
            "off by more than one",
            "Qw",
            "Qe",
        ],
        rows,
    )


if __name__ == "__main__":
    sys.exit(main())
