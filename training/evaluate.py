# SPDX-License-Identifier: Apache-2.0
"""``python -m training.evaluate``: fuse a data set, score every measure, rank, show.

    python -m training.evaluate --weights FILE|PRESET ... --data tno=DIR [--peers DIR] --out DIR

All methods are scored on grey pictures rounded to 8 bit. ``--peers`` is a folder of folders of
published results, named like the visible pictures. Writes ``table.md``, ``table.csv``,
``per_picture.csv``, ``contact_sheet.png`` and the fused pictures.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import tqdm

from fusion_ros.metrics import MEASURES, score
from fusion_ros.model.config import PRESETS
from fusion_ros.model.weights import WeightsError, load_weights, shipped_weights
from training.baselines import BASELINES
from training.contact_sheet import contact_sheet
from training.pairs import DataSetError, find_pairs
from training.ranks import mean_ranks, write_tables
from training.reading import read_pair
from training.validation import fuse

Fuser = Callable[[str, np.ndarray, np.ndarray], np.ndarray]


def network_fuser(weights: str) -> Fuser:
    """(name, uint8 RGB, uint8 thermal) to uint8 HxW or HxWx3, by a weights file or preset."""
    path = shipped_weights(weights) if weights in PRESETS else Path(weights)
    net = load_weights(path).net

    def run(name: str, visible: np.ndarray, thermal: np.ndarray) -> np.ndarray:
        tensors = (
            torch.from_numpy(visible).permute(2, 0, 1)[None].float() / 255,
            torch.from_numpy(thermal)[None, None].float() / 255,
        )
        with torch.inference_mode():
            fused = fuse(net, *tensors)[0]
        picture = (fused * 255).round().byte().permute(1, 2, 0).numpy()
        return picture[..., 0] if picture.shape[2] == 1 else picture

    return run


def baseline_fuser(method: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Fuser:
    """The same form for a classical method, on luma."""

    def run(name: str, visible: np.ndarray, thermal: np.ndarray) -> np.ndarray:
        fused = method(grey(visible) / 255.0, thermal / 255.0)
        return (fused * 255).round().clip(0, 255).astype(np.uint8)

    return run


def peer_fuser(folder: Path) -> Fuser:
    """The same form for a folder of published results; a missing file is a DataSetError."""

    def run(name: str, visible: np.ndarray, thermal: np.ndarray) -> np.ndarray:
        found = sorted(folder.glob(f"{Path(name).name}.*"))
        picture = cv2.imread(str(found[0]), cv2.IMREAD_GRAYSCALE) if found else None
        if picture is None:
            raise DataSetError(f"{folder} has no readable picture {Path(name).name}")
        if picture.shape != thermal.shape:
            raise DataSetError(f"{found[0]} is {picture.shape}, its sources {thermal.shape}")
        return picture

    return run


def grey(picture: np.ndarray) -> np.ndarray:
    """uint8 luma of an RGB or grey picture."""
    return picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)


def evaluate(
    methods: dict[str, Fuser], pairs: list, measures: list[str], out: Path | None
) -> dict[str, list[dict[str, float]]]:
    """Scores of each method, picture by picture; fused pictures go to ``out/<method>/``."""
    results: dict[str, list[dict[str, float]]] = {name: [] for name in methods}
    for pair in tqdm(pairs, unit="pair", disable=None):
        visible, thermal = read_pair(pair)[0]
        sources = [
            torch.from_numpy(x.astype(np.float64) / 255)[None, None]
            for x in (grey(visible), thermal)
        ]
        for name, method in methods.items():
            fused = method(pair.name, visible, thermal)
            tensor = torch.from_numpy(grey(fused).astype(np.float64) / 255)[None, None]
            results[name].append(score(*sources, tensor, measures))
            if out is not None:
                target = out / name.replace(" ", "_") / f"{pair.name.replace('/', '_')}.png"
                target.parent.mkdir(parents=True, exist_ok=True)
                bgr = fused if fused.ndim == 2 else cv2.cvtColor(fused, cv2.COLOR_RGB2BGR)
                cv2.imwrite(str(target), bgr)
    return results


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--weights", nargs="*", default=[], help="weights files or preset names")
    parser.add_argument("--data", required=True, help="KIND=FOLDER, for instance tno=data/tno21")
    parser.add_argument("--split", type=Path, help="list file that names the pairs to take")
    parser.add_argument("--peers", type=Path, help="folder of folders of published results")
    parser.add_argument("--out", type=Path, required=True, help="folder for tables and pictures")
    parser.add_argument("--measures", nargs="*", default=list(MEASURES), choices=list(MEASURES))
    parser.add_argument("--no-baselines", action="store_true")
    options = parser.parse_args(arguments)
    try:
        kind, equals, root = options.data.partition("=")
        if not equals:
            raise DataSetError(f"--data is {options.data!r}; allowed is KIND=FOLDER")
        pairs = find_pairs(kind, Path(root), options.split)
        for problem in pairs.problems:
            print(f"skipped: {problem}", file=sys.stderr)
        methods: dict[str, Fuser] = {Path(w).stem: network_fuser(w) for w in options.weights}
        if not options.no_baselines:
            methods |= {name: baseline_fuser(method) for name, method in BASELINES.items()}
        if options.peers:
            folders = sorted(p for p in options.peers.iterdir() if p.is_dir())
            methods |= {p.name: peer_fuser(p) for p in folders}
        options.out.mkdir(parents=True, exist_ok=True)
        results = evaluate(methods, pairs.pairs, options.measures, options.out)
    except (DataSetError, WeightsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    with (options.out / "per_picture.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["method", "picture", *options.measures])
        for name, rows in results.items():
            for pair, row in zip(pairs.pairs, rows, strict=True):
                writer.writerow([name, pair.name, *(f"{row[m]:.6f}" for m in options.measures)])
    means = {
        name: {m: float(np.nanmean([row[m] for row in rows])) for m in options.measures}
        for name, rows in results.items()
    }
    print(
        write_tables(means, mean_ranks(means), options.out, f"{options.data}, {len(pairs)} pairs")
    )
    shown = [Path(w).stem for w in options.weights] or list(methods)[:1]
    contact_sheet(pairs.pairs, options.out, shown, options.out / "contact_sheet.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
