# SPDX-License-Identifier: Apache-2.0
"""Compare the images of each engine with PyTorch in float32 on real pairs.

    python -m benchmarks.precision --pairs VISIBLE THERMAL [--pairs ...] [--json FILE]

VISIBLE and THERMAL are folders of images that are paired by name, or two videos.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from benchmarks.engines import PRECISIONS, REFERENCE, engines_for
from benchmarks.report.tables import options, report
from fusion_ros.engines.engine import Engine
from fusion_ros.imaging.colour import luma
from fusion_ros.metrics.measures import score
from fusion_ros.model.config import PRESETS
from fusion_ros.model.weights import load_weights, shipped_weights
from fusion_ros.pipeline import FusionPipeline
from fusion_ros.recordings.sampled_pairs import recorded_pairs

COLUMNS = ["", "pairs", "largest error", "99.9 % below", "mean error", "off by more than one"]
COLUMNS += ["Qw", "Qe"]


def compared(
    engines: dict[str, Engine], visible: Path, thermal: Path, most: int
) -> dict[str, np.ndarray]:
    """Return a row for each pair: largest error, tail, mean, share of pixels, Qw and Qe."""
    pipelines = {name: FusionPipeline(engine) for name, engine in engines.items()}
    found: dict[str, list[list[float]]] = {name: [] for name in engines}
    for _, seen, felt in recorded_pairs(visible, partner=thermal, most=most):
        rgb, warm = seen.as_rgb(), luma(felt.pixels, order=felt.order)
        grey = rgb if rgb.ndim == 2 else luma(rgb)
        # The pipeline passes this to the engine without conversion.
        used = grey if engines[REFERENCE].visible_channels == 1 else rgb
        wanted = pipelines[REFERENCE].fuse(used, warm).image.astype(np.int16)
        for name, pipeline in pipelines.items():
            pipeline.reset()
            got = pipeline.fuse(used, warm)
            off = np.abs(got.image - wanted)
            fused = got.image if got.image.ndim == 2 else luma(got.image)
            images = np.stack([grey, got.thermal, fused]).astype(np.float32) / 255
            planes = torch.from_numpy(images)[:, None, None]
            scores = score(*planes, names=("qw", "qe"))
            errors = [off.max(), np.percentile(off, 99.9), off.mean(), (off > 1).mean()]
            found[name].append([*errors, scores["qw"], scores["qe"]])
    return {name: np.array(rows) for name, rows in found.items()}


def cells(rows: np.ndarray) -> list[str]:
    """Return pairs, largest error, mean tail, range of the means, share and mean quality."""
    largest, tails, means, shares, qw, qe = rows.T
    return [
        str(len(rows)),
        f"{largest.max():.0f}",
        f"{tails.mean():.1f}",
        f"{means.min():.2f} to {means.max():.2f}",
        f"{shares.mean():.2%} of pixels",
        f"{qw.mean():.4f}",
        f"{qe.mean():.4f}",
    ]


def main() -> int:
    """Run and print."""
    parser = options(__doc__)
    parser.add_argument("--pairs", nargs=2, type=Path, action="append", required=True)
    parser.add_argument("--presets", nargs="+", default=list(PRESETS), choices=PRESETS)
    parser.add_argument("--most", type=int, default=21, help="pairs of each set, spread evenly")
    args = parser.parse_args()
    rows = []
    for preset in args.presets:
        engines = engines_for(load_weights(shipped_weights(preset)), list(PRECISIONS[:3]))
        for visible, thermal in args.pairs:
            for engine, errors in compared(engines, visible, thermal, args.most).items():
                rows.append([f"`{preset}`, {visible.parent.name}, {engine}", *cells(errors)])
                print(" | ".join(rows[-1]), flush=True)
    return report(args.json, "Error of lower precisions on real pairs", COLUMNS, rows)


if __name__ == "__main__":
    sys.exit(main())
