# SPDX-License-Identifier: Apache-2.0
"""``python -m training.evaluate``: fuse data sets, compute all measures and rank methods.

    python -m training.evaluate --weights FILE|PRESET ... --data tno=DIR ... [--peers DIR] --out DIR

All methods are scored on grey images rounded to 8 bit. ``--peers`` is a folder of folders of
published results on one data set, named like its visible images. Writes ``table.md``,
``table.csv``, ``per_picture.csv``, ``contact_sheet.png`` and the fused images to ``--out``. Several
data sets have a folder each, named after their kind.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import tqdm

from fusion_ros.files.images import write_image
from fusion_ros.files.tables import new_table
from fusion_ros.metrics import MEASURES, score
from fusion_ros.metrics.baselines import BASELINES
from fusion_ros.model.config import PRESETS
from fusion_ros.model.weights import WeightsError, load_weights, shipped_weights
from training.contact_sheet import contact_sheet
from training.pairs import DATA_SETS, DataSetError, Pairs, find_pairs
from training.ranks import mean_ranks, write_tables
from training.reading import read_pair
from training.validation import fuse

Fuser = Callable[[str, np.ndarray, np.ndarray], np.ndarray]


def network_fuser(weights: str) -> Fuser:
    """Return a fuser of a weights file or preset; its output is uint8 HxW or HxWx3."""
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
    """Return a fuser of a classical method, on luma."""

    def run(name: str, visible: np.ndarray, thermal: np.ndarray) -> np.ndarray:
        fused = method(grey(visible) / 255.0, thermal / 255.0)
        return (fused * 255).round().clip(0, 255).astype(np.uint8)

    return run


def peer_fuser(folder: Path) -> Fuser:
    """Return a fuser that reads published results; a missing file is a DataSetError."""

    def run(name: str, visible: np.ndarray, thermal: np.ndarray) -> np.ndarray:
        found = sorted(folder.glob(f"{Path(name).name}.*"))
        picture = cv2.imread(str(found[0]), cv2.IMREAD_GRAYSCALE) if found else None
        if picture is None:
            raise DataSetError(f"{folder} has no readable image {Path(name).name}")
        if picture.shape != thermal.shape:
            raise DataSetError(f"{found[0]} is {picture.shape}, its sources {thermal.shape}")
        return picture

    return run


def grey(picture: np.ndarray) -> np.ndarray:
    """Return the uint8 luma of an RGB or grey image."""
    return picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)


def evaluate(
    methods: dict[str, Fuser], pairs: list, measures: list[str], out: Path | None
) -> dict[str, list[dict[str, float]]]:
    """Return the scores of each method and image; write fused images to ``out/<method>/``."""
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
                write_image(target, bgr)
    return results


def evaluate_set(
    pairs: Pairs, methods: dict[str, Fuser], shown: list[str], measures: list[str], out: Path
) -> None:
    """Score the methods on one data set; write tables, images and the sheet to ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    results = evaluate(methods, pairs.pairs, measures, out)
    with new_table(out / "per_picture.csv") as table:
        table.write(["method", "picture", *measures])
        for name, rows in results.items():
            for pair, row in zip(pairs.pairs, rows, strict=True):
                table.write([name, pair.name, *(f"{row[m]:.6f}" for m in measures)])
    means = {
        name: {m: float(np.nanmean([row[m] for row in rows])) for m in measures}
        for name, rows in results.items()
    }
    title = f"{pairs.source}, {len(pairs)} pairs"
    print(write_tables(means, mean_ranks(means), out, title))
    contact_sheet(pairs.pairs, out, shown, out / "contact_sheet.png")


def named_networks(weights: list[str]) -> dict[str, Fuser]:
    """Return networks by file name, with the folder's name for equal file names."""
    stems = [Path(w).stem for w in weights]
    names = [
        f"{Path(w).absolute().parent.name}-{stem}" if stems.count(stem) > 1 else stem
        for w, stem in zip(weights, stems, strict=True)
    ]
    if len(set(names)) < len(names):
        raise DataSetError(f"--weights has two files called {max(names, key=names.count)}")
    return {name: network_fuser(w) for name, w in zip(names, weights, strict=True)}


def find_data_sets(texts: list[str], split: Path | None) -> dict[str, Pairs]:
    """Find the pairs of each ``KIND=FOLDER``, by kind."""
    found: dict[str, Pairs] = {}
    for text in texts:
        kind, equals, root = text.partition("=")
        if not equals:
            raise DataSetError(f"--data has {text!r}; allowed is KIND=FOLDER")
        if kind in found:
            raise DataSetError(f"--data has {kind} twice; allowed: each kind once")
        found[kind] = find_pairs(kind, Path(root), split)
        for problem in found[kind].problems:
            print(f"skipped: {problem}", file=sys.stderr)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--weights", nargs="*", default=[], help="weights files or preset names")
    parser.add_argument(
        "--data",
        nargs="+",
        required=True,
        metavar="KIND=FOLDER",
        help=f"for instance tno=data/tno21; kinds: {', '.join(sorted(DATA_SETS))}",
    )
    parser.add_argument("--split", type=Path, help="file with the names of the pairs to use")
    parser.add_argument("--peers", type=Path, help="folder of folders of published results")
    parser.add_argument("--out", type=Path, required=True, help="folder for tables and images")
    parser.add_argument("--measures", nargs="*", default=list(MEASURES), choices=list(MEASURES))
    parser.add_argument("--no-baselines", action="store_true")
    options = parser.parse_args(arguments)
    try:
        data = find_data_sets(options.data, options.split)
        methods = named_networks(options.weights)
        shown = list(methods)
        if not options.no_baselines:
            methods |= {name: baseline_fuser(method) for name, method in BASELINES.items()}
        if options.peers:
            if len(data) > 1:
                raise DataSetError("--peers requires one data set; --data names several")
            if not options.peers.is_dir():
                raise DataSetError(f"--peers {options.peers} is not a folder")
            folders = sorted(p for p in options.peers.iterdir() if p.is_dir())
            methods |= {p.name: peer_fuser(p) for p in folders}
        if not methods:
            raise DataSetError("nothing to score: no --weights, no --peers, no baselines")
        for kind, pairs in data.items():
            out = options.out / kind if len(data) > 1 else options.out
            evaluate_set(pairs, methods, shown or list(methods)[:1], options.measures, out)
    except (DataSetError, WeightsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
