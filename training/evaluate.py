# SPDX-License-Identifier: Apache-2.0
"""`fusion-ros evaluate`: fuse data sets, compute all measures and rank methods."""

from __future__ import annotations

import argparse
import csv
import io
import json
import math
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from tqdm import tqdm

from fusion_ros.cli.exit_codes import COULD_NOT_RUN, DONE
from fusion_ros.engines.choice import create_engine
from fusion_ros.files.images import write_image
from fusion_ros.files.writing import write_json
from fusion_ros.imaging.compressed import read_image_file
from fusion_ros.imaging.encodings import EncodingError
from fusion_ros.metrics.baselines import BASELINES
from fusion_ros.metrics.measures import MEASURES, score
from fusion_ros.model.weights import load_weights, weights_path
from fusion_ros.recordings.image_files import IMAGES
from training.config_file import import_files
from training.contact_sheet import contact_sheet, image_path
from training.data.pairs import DataSetError, Pairs, find_named_pairs
from training.data.reading import read_pair
from training.ranks import mean_ranks, write_tables
from training.run.validation import fuse

Fuser = Callable[[str, np.ndarray, np.ndarray], np.ndarray]
"""Name of a pair, visible `uint8` HxWx3 RGB and thermal HxW to a fused image HxW or HxWx3 RGB."""


def network_fuser(weights: str) -> Fuser:
    """Return a fuser of a weights file or preset; its output is uint8 HxW or HxWx3."""
    net = load_weights(weights_path(weights)).net

    def run(name: str, visible: np.ndarray, thermal: np.ndarray) -> np.ndarray:
        tensors = (
            torch.from_numpy(visible).permute(2, 0, 1)[None].float() / 255,
            torch.from_numpy(thermal)[None, None].float() / 255,
        )
        with torch.inference_mode():
            fused = fuse(net, *tensors)[0]
        image = (fused * 255).round().byte().permute(1, 2, 0).numpy()
        return image[..., 0] if image.shape[2] == 1 else image

    return run


def engine_fuser(weights: str, precision: str) -> Fuser:
    """Return a fuser that runs a weights file or preset on OpenVINO, as a robot does."""
    loaded = load_weights(weights_path(weights))
    engine = create_engine(loaded, name="openvino", precision=precision)

    def run(name: str, visible: np.ndarray, thermal: np.ndarray) -> np.ndarray:
        return engine.infer(grey(visible) if engine.visible_channels == 1 else visible, thermal)

    return run


def baseline_fuser(method: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Fuser:
    """Return a fuser of a classical method, on luma."""

    def run(name: str, visible: np.ndarray, thermal: np.ndarray) -> np.ndarray:
        fused = method(grey(visible) / 255.0, thermal / 255.0)
        return (fused * 255).round().clip(0, 255).astype(np.uint8)

    return run


def peer_fuser(folder: Path) -> Fuser:
    """Return a fuser that reads published results.

    It raises DataSetError for an image that is missing, unreadable or of another size.
    """

    def run(name: str, visible: np.ndarray, thermal: np.ndarray) -> np.ndarray:
        path = peer_image(folder, name)
        try:
            image = read_image_file(path)
        except EncodingError as error:
            raise DataSetError(f"{folder}: {error}") from error
        image = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        if image.shape != thermal.shape:
            raise DataSetError(f"{path} is {image.shape}, its sources {thermal.shape}")
        return image

    return run


def peer_image(folder: Path, name: str) -> Path:
    """Return the image of a pair in a folder of results.

    Raises:
        DataSetError: there is none.
    """
    for below in (name, Path(name).name):
        for suffix in IMAGES:
            if (path := folder / f"{below}{suffix}").is_file():
                return path
    raise DataSetError(f"{folder} has no image {Path(name).name}")


def grey(image: np.ndarray) -> np.ndarray:
    """Return the uint8 luma of an RGB or grey image."""
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def scores_of(
    fused: np.ndarray, visible: np.ndarray, thermal: np.ndarray, measures: list[str]
) -> dict[str, float]:
    """Return the measures of a uint8 image, on luma."""
    images = [
        torch.from_numpy(x.astype(np.float64) / 255)[None, None]
        for x in (grey(visible), thermal, grey(fused))
    ]
    return score(images[0], images[1], images[2], measures)


def evaluate_set(
    pairs: Pairs, methods: dict[str, Fuser], shown: list[str], measures: list[str], out: Path
) -> int:
    """Score the methods on one data set; write tables, images and the sheet to ``out``.

    Returns:
        The number of skipped pairs, of which a file cannot be used.
    """
    out.mkdir(parents=True, exist_ok=True)
    _refuse_equal_results(pairs)
    rows = ScoreRows(out / "per_image.csv", measures)
    check_pairs(out, pairs, {pair for _, pair in rows.scores})
    total = len(pairs) * len(methods)
    scored, skipped = [], []
    with rows, tqdm(total=total, unit="image", disable=None) as progress:
        for pair in pairs:
            missing = [
                name
                for name in methods
                if (name, pair.name) not in rows.scores
                or not image_path(out, name, pair.name).is_file()
            ]
            progress.update(len(methods) - len(missing))
            if not missing:
                scored.append(pair)
                continue
            try:
                visible, thermal = read_pair(pair)[0]
                fused = {name: methods[name](pair.name, visible, thermal) for name in missing}
            except DataSetError as error:
                print(f"skipped: {error}", file=sys.stderr)
                skipped.append(str(error))
                continue
            scored.append(pair)
            for name, image in fused.items():
                target = image_path(out, name, pair.name)
                target.parent.mkdir(parents=True, exist_ok=True)
                write_image(
                    target, image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
                )
                rows.add(name, pair.name, scores_of(image, visible, thermal, measures))
                progress.update()
    if not scored:
        raise DataSetError(f"{pairs.source}: no pair can be used; first: {skipped[0]}")
    means = {
        name: {m: _mean([rows.scores[name, pair.name][m] for pair in scored]) for m in measures}
        for name in methods
    }
    title = f"{pairs.source}, {len(scored)} pairs"
    title += f" ({len(skipped)} skipped)" if skipped else ""
    print(write_tables(means, mean_ranks(means), out, title))
    contact_sheet(scored, out, shown, out / "contact_sheet.png")
    return len(skipped)


def _refuse_equal_results(pairs: Pairs) -> None:
    names: dict[str, str] = {}
    for pair in pairs:
        other = names.setdefault(image_path(Path(), "", pair.name).name, pair.name)
        if other != pair.name:
            raise DataSetError(
                f"{pairs.source}: the pairs {other} and {pair.name} would share a result file; "
                "rename a file"
            )


def _mean(values: list[float]) -> float:
    """Return the mean without NaN; NaN if there is nothing else."""
    return math.nan if np.isnan(values).all() else float(np.nanmean(values))


class ScoreRows:
    """Scores in a CSV file, one row for each method and image, each written at once.

    Args:
        path: an existing file is continued; a row that was cut off is dropped.
        measures: names of the columns.

    Raises:
        DataSetError: the file has other columns.
    """

    def __init__(self, path: Path, measures: list[str]) -> None:
        self._path, self._columns = path, ["method", "image", *measures]
        self.scores: dict[tuple[str, str], dict[str, float]] = {}
        text = _text_of(path) if path.is_file() else ""
        whole = text[: text.rfind("\n") + 1]
        try:
            header, *rows = list(csv.reader(io.StringIO(whole, ""), strict=True)) or [self._columns]
            if header != self._columns:
                raise DataSetError(
                    f"{path} has the measures {', '.join(header[2:])}; requested: "
                    f"{', '.join(measures)}; use another --out, or the same --measures"
                )
            for method, image, *values in rows:
                self.scores[method, image] = dict(zip(measures, map(float, values), strict=True))
        except (ValueError, csv.Error) as error:
            if isinstance(error, DataSetError):
                raise
            raise DataSetError(f"{path} is not a table of scores ({error}); remove it") from error
        if text != whole:
            os.truncate(path, len(whole.encode("utf-8", "surrogateescape")))

    def __enter__(self) -> ScoreRows:
        self._file = self._path.open("a", newline="", encoding="utf-8", errors="surrogateescape")
        self._writer = csv.writer(self._file, lineterminator="\n")
        if not self._file.tell():
            self._writer.writerow(self._columns)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, method: str, image: str, scores: dict[str, float]) -> None:
        """Write a row."""
        self.scores[method, image] = scores
        self._writer.writerow([method, image, *(f"{value:.8g}" for value in scores.values())])
        self._file.flush()


def _text_of(path: Path) -> str:
    """Return the text of a table; names of files may not be UTF-8."""
    return path.read_bytes().decode("utf-8", "surrogateescape")


def check_methods(out: Path, weights: list[str]) -> None:
    """Keep the identity of the weights in ``out``; results of other weights are not continued."""
    identity = {
        name: load_weights(weights_path(path)).metadata.sha256
        for name, path in zip(network_names(weights), weights, strict=True)
    }
    out.mkdir(parents=True, exist_ok=True)
    _check_identity(out, "weights", identity, set(identity))


def check_pairs(out: Path, pairs: Pairs, scored: set[str]) -> None:
    """Keep the files of the pairs in ``out``; results of other files are not continued.

    A pair without a score, such as one that could not be read, may have changed.
    """
    identity = {}
    for pair in pairs:
        state = pair.visible.stat()
        identity[pair.name] = [str(pair.visible.resolve()), state.st_size, state.st_mtime_ns]
    _check_identity(out, "pairs", identity, scored)


def _check_identity(out: Path, what: str, identity: dict[str, Any], fixed: set[str]) -> None:
    """Keep identities by name in a file in ``out``, unless one of the fixed names has another."""
    stored = out / f"{what}.json"
    try:
        before = json.loads(stored.read_bytes()) if stored.is_file() else {}
    except ValueError as error:
        raise DataSetError(f"{stored} is not JSON ({error}); remove it") from error
    if not isinstance(before, dict):
        raise DataSetError(f"{stored} holds a {type(before).__name__}; remove it")
    changed = [
        name
        for name in identity
        if name in fixed and before.get(name, identity[name]) != identity[name]
    ]
    if changed:
        raise DataSetError(
            f"{out} has results of other {what} called {changed[0]}; use another --out"
        )
    write_json(stored, {**before, **identity})


def network_names(weights: list[str]) -> list[str]:
    """Return the file names, with the folder's name for equal ones."""
    stems = [Path(w).stem for w in weights]
    names = [
        f"{Path(w).absolute().parent.name}-{stem}" if stems.count(stem) > 1 else stem
        for w, stem in zip(weights, stems, strict=True)
    ]
    if len(set(names)) < len(names):
        raise DataSetError(f"--weights has two files called {max(names, key=names.count)}")
    return names


def named_networks(weights: list[str], precision: str | None = None) -> dict[str, Fuser]:
    """Return networks by name: in PyTorch, or on OpenVINO in a precision."""
    return {
        name: engine_fuser(path, precision) if precision else network_fuser(path)
        for name, path in zip(network_names(weights), weights, strict=True)
    }


def all_methods(*groups: Mapping[str, Fuser]) -> dict[str, Fuser]:
    """Join methods by name.

    Raises:
        DataSetError: two methods have one name, or one folder for their images.
    """
    methods: dict[str, Fuser] = {}
    folders: dict[str, str] = {}
    for name, fuser in (item for group in groups for item in group.items()):
        other = folders.setdefault(image_path(Path(), name, "x").parent.name, name)
        if name in methods or other != name:
            raise DataSetError(f"two methods are called {other!r} and {name!r}; rename one")
        methods[name] = fuser
    return methods


def baselines() -> dict[str, Fuser]:
    """Return the classical methods by name."""
    return {name: baseline_fuser(method) for name, method in BASELINES.items()}


def find_data_sets(texts: list[str], split: Path | None) -> dict[str, Pairs]:
    """Find the pairs of each ``KIND=FOLDER``, by kind."""
    found: dict[str, Pairs] = {}
    for text in texts:
        kind = text.partition("=")[0]
        if kind in found:
            raise DataSetError(f"--data has {kind} twice; allowed: each kind once")
        found[kind] = find_named_pairs("--data", text, split)
    return found


def run(options: argparse.Namespace) -> int:
    """Run `fusion-ros evaluate`; returns the exit code."""
    import_files(options.modules)
    measures = options.measures or list(MEASURES)
    if unknown := sorted(set(measures) - set(MEASURES)):
        raise DataSetError(f"--measures has {unknown[0]!r}; allowed: {', '.join(MEASURES)}")
    data = find_data_sets(options.data, options.split)
    networks = named_networks(options.weights)
    methods = all_methods(
        networks,
        {} if options.no_baselines else baselines(),
        peers_of(options.peers, data) if options.peers else {},
    )
    if not methods:
        raise DataSetError("nothing to score: no --weights, no --peers, no baselines")
    check_methods(options.out, options.weights)
    skipped = 0
    for kind, pairs in data.items():
        out = options.out / kind if len(data) > 1 else options.out
        skipped += evaluate_set(pairs, methods, list(networks) or list(methods)[:1], measures, out)
    return COULD_NOT_RUN if skipped else DONE


def peers_of(root: Path, data: dict[str, Pairs]) -> dict[str, Fuser]:
    """Return the fusers of the folders in ``root``.

    Raises:
        DataSetError: ``root`` holds no folders, or one of them lacks an image.
    """
    if len(data) > 1:
        raise DataSetError("--peers requires one data set; --data names several")
    folders = sorted(p for p in root.iterdir() if p.is_dir()) if root.is_dir() else []
    if not folders:
        raise DataSetError(
            f"--peers is {root}; allowed is a folder that holds a folder of images for each method"
        )
    for folder in folders:  # now, before hours are spent
        used: dict[Path, str] = {}
        for pair in (pair for pairs in data.values() for pair in pairs):
            image = peer_image(folder, pair.name)
            if used.setdefault(image, pair.name) != pair.name:
                raise DataSetError(f"{image} stands for {used[image]} and {pair.name}")
    return {folder.name: peer_fuser(folder) for folder in folders}
