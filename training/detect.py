# SPDX-License-Identifier: Apache-2.0
"""``python -m training.detect``: compare detectors on visible, thermal and fused images.

    python -m training.detect --weights FILE|PRESET ... --detector FILE.onnx --classes coco.names
        --set NAME=VISIBLE,THERMAL,LABELS ... [--precision int8] [--out FILE.json]

`late` is late fusion: the boxes of the visible and of the thermal image together, without doubles.
For each set and all of them pooled, the table has AP50 of each class and their mean. For the pooled
sets another one has the difference of each fused input from the others, with a 95 % interval over
bootstrap resamples of the images. A third has the contrast of the labelled objects against their
surroundings. Cars, buses and trucks are one class, ``vehicle``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from fusion_ros.detection import (
    LAYOUTS,
    Detection,
    LabelledImage,
    OnnxDetector,
    evaluate,
    overlap,
    read_labels,
    require_evaluator,
)
from fusion_ros.files.writing import write_json
from fusion_ros.metrics.objects import object_contrast
from training.config_file import import_files
from training.contact_sheet import with_colour_of
from training.data.pairs import DataSetError, PairFiles, match_folders
from training.data.reading import read_pair, read_thermal
from training.evaluate import Fuser, grey, named_networks

MERGED = {"car": "vehicle", "bus": "vehicle", "truck": "vehicle"}
#: Boxes of one class with a larger intersection over union are doubles.
SAME_BOX = 0.5
CONFIDENCE = 0.3
POOLED, LATE, BOTH = "pooled", "late", "both"

Key = tuple[str, str]
"""Set and image."""
Found = Mapping[str, Mapping[Key, Sequence[Detection]]]
"""Boxes by input and image."""
Contrasts = Mapping[str, Mapping[Key, Mapping[str, np.ndarray]]]
"""Contrast of the labelled objects by input, image and class."""


@dataclass(frozen=True)
class LabelledPair:
    """A pair of a set and its labels, in pixels of the thermal image."""

    key: Key
    files: PairFiles
    labels: LabelledImage


def find_labelled_pairs(text: str, classes: Sequence[str] | None = None) -> list[LabelledPair]:
    """Return the labelled pairs of ``NAME=VISIBLE,THERMAL,LABELS``.

    Args:
        text: name of the set, two folders of images, and COCO JSON or a folder of YOLO files.
        classes: class names by number, for YOLO files.

    Raises:
        DataSetError: the text is of another form, or a labelled image has no pair, or more.
    """
    name, equals, rest = text.partition("=")
    paths = rest.split(",")
    if not equals or len(paths) != 3:
        raise DataSetError(f"--set has {text!r}; allowed is NAME=VISIBLE,THERMAL,LABELS")
    visible, thermal, labels = map(Path, paths)
    found = match_folders(name, visible, thermal, resize_visible=True)
    by_name: dict[str, PairFiles] = {}
    for pair in found:
        own = Path(pair.name).name  # labels name the file without its folder
        if own in by_name:
            raise DataSetError(f"set {name}: {visible} has two images called {own}")
        by_name[own] = pair
    try:
        images = [p.renamed(MERGED) for p in read_labels(labels, classes)]
    except (OSError, ValueError) as error:
        raise DataSetError(f"set {name}: {error}") from error
    absent = sorted(p.name for p in images if p.name not in by_name)
    if absent:
        raise DataSetError(f"set {name}: {labels} has {absent[0]}, which is not in {visible}")
    pairs = []
    for image in images:
        files = by_name[image.name]
        height, width = read_thermal(files.thermal).shape
        pairs.append(LabelledPair((name, image.name), files, image.at(width, height)))
    return pairs


def detect_all(
    detector: OnnxDetector, pairs: Sequence[LabelledPair], fusers: Mapping[str, Fuser]
) -> tuple[dict[str, dict[Key, list[Detection]]], Contrasts]:
    """Return the boxes in every input of every pair, `late` included, and the contrasts."""
    images_of = ("visible", "thermal", *fusers)
    found: dict[str, dict[Key, list[Detection]]] = {name: {} for name in (*images_of, LATE)}
    contrasts: dict[str, dict[Key, dict[str, np.ndarray]]] = {name: {} for name in images_of}
    for pair in pairs:
        visible, thermal = read_pair(pair.files)[0]
        images = {"visible": visible, "thermal": cv2.cvtColor(thermal, cv2.COLOR_GRAY2RGB)}
        for name, fuser in fusers.items():
            images[name] = with_colour_of(visible, fuser(pair.files.name, visible, thermal))
        for name, image in images.items():
            found[name][pair.key] = detector.detect(image)
            contrasts[name][pair.key] = contrast_by_class(image, pair.labels)
        found[LATE][pair.key] = pooled_boxes(found["visible"][pair.key], found["thermal"][pair.key])
    return found, contrasts


def contrast_by_class(image: np.ndarray, labels: LabelledImage) -> dict[str, np.ndarray]:
    """Return the contrast of the objects of each labelled class in an RGB image."""
    luma = torch.from_numpy(grey(image).astype(np.float32) / 255)
    boxes = {
        label: [b.box for b in labels.boxes if b.label == label and not b.ignored]
        for label in labels.classes
    }
    return {label: object_contrast(luma, own).numpy() for label, own in boxes.items()}


def print_contrasts(contrasts: Contrasts, labels: Mapping[Key, LabelledImage]) -> dict[str, dict]:
    """Print and return the median absolute contrast by input and class."""
    result: dict[str, dict] = {}
    for name, by_image in contrasts.items():
        values: dict[str, list[float]] = {}
        for key in labels:
            for label, own in by_image[key].items():
                values.setdefault(label, []).extend(np.abs(own[np.isfinite(own)]))
        result[name] = {label: float(np.median(own)) for label, own in values.items() if own}
    columns = list(dict.fromkeys(label for row in result.values() for label in row))
    if not columns:  # all objects are too small
        return result
    print("\n| median contrast, in spreads of the surroundings | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for name, row in result.items():
        print(f"| {name} | " + " | ".join(f"{row[c]:.2f}" for c in columns) + " |")
    return result


def pooled_boxes(*detections: Sequence[Detection]) -> list[Detection]:
    """Return all boxes, best first, without those that overlap a better one of their class."""
    kept: list[Detection] = []
    for box in sorted((d for own in detections for d in own), key=lambda d: -d.score):
        if all(k.label != box.label or overlap(k.box, box.box) <= SAME_BOX for k in kept):
            kept.append(box)
    return kept


def average_precisions(
    found: Found, labels: Mapping[Key, LabelledImage], drawn: Sequence[Key] | None = None
) -> dict[str, dict[str, float]]:
    """Return AP50 in percent by input and class, and the mean of the classes as `both`.

    Args:
        found: boxes by input and image.
        labels: by image.
        drawn: images to measure, some maybe several times; None is each of ``labels`` once.
    """
    keys = list(labels) if drawn is None else drawn
    # The evaluator counts an image that was drawn twice as two images.
    truth = {(*key, copy): labels[key] for copy, key in enumerate(keys)}
    result = {}
    for name, boxes in found.items():
        claims = {(*key, copy): boxes[key] for copy, key in enumerate(keys)}
        scores = evaluate(claims, truth, confidence=CONFIDENCE)
        values = {label: 100 * score.ap50 for label, score in scores.items()}
        result[name] = {**values, BOTH: float(np.mean(list(values.values())))} if values else {}
    return result


def differences(
    found: Found,
    labels: Mapping[Key, LabelledImage],
    fused: Sequence[str],
    *,
    resamples: int,
    seed: int = 0,
) -> dict[str, dict[str, tuple[float, float, float]]]:
    """Return the difference of each fused input from the others and its 95 % interval, in percent.

    By fused input, then ``CLASS minus INPUT``. Images are drawn with replacement within their
    sets; with no resamples the interval is the value itself.
    """
    whole = average_precisions(found, labels)
    sets: dict[str, list[Key]] = {}
    for key in labels:
        sets.setdefault(key[0], []).append(key)
    rng = np.random.default_rng(seed)
    draws = []
    for _ in range(resamples):
        drawn = [own[i] for own in sets.values() for i in rng.integers(0, len(own), len(own))]
        draws.append(average_precisions(found, labels, drawn))
    result: dict[str, dict[str, tuple[float, float, float]]] = {}
    for name in fused:
        for other in ("visible", "thermal", LATE):
            for label in whole[name]:
                value = whole[name][label] - whole[other][label]
                samples = [
                    draw[name][label] - draw[other][label] for draw in draws if label in draw[name]
                ] or [value]
                low, high = np.percentile(samples, [2.5, 97.5])
                result.setdefault(name, {})[f"{label} minus {other}"] = (
                    value,
                    float(low),
                    float(high),
                )
    return result


def report(
    title: str,
    found: Found,
    contrasts: Contrasts,
    pairs: Sequence[LabelledPair],
    fused: Sequence[str],
    resamples: int,
) -> dict[str, dict]:
    """Print the tables of one detector; return all figures by set."""
    result: dict[str, dict] = {}
    for group in (*dict.fromkeys(p.key[0] for p in pairs), POOLED):
        labels = {p.key: p.labels for p in pairs if group in (p.key[0], POOLED)}
        values = average_precisions(found, labels)
        columns = list(values["visible"])
        if not columns:
            raise DataSetError(f"set {group}: its labels hold no object")
        objects = {
            c: sum(b.label == c and not b.ignored for p in labels.values() for b in p.boxes)
            for c in columns
            if c != BOTH
        }
        heads = [f"{c} ({objects[c]})" if c in objects else c for c in columns]
        print(f"\n| {title}, {group}, AP50 | " + " | ".join(heads) + " |")
        print("|---" * (len(columns) + 1) + "|")
        for name, row in values.items():
            print(f"| {name} | " + " | ".join(f"{row[c]:.1f}" for c in columns) + " |")
        contrast = print_contrasts(contrasts, labels)
        result[group] = {"objects": objects, "ap50": values, "contrast": contrast}
        if group == POOLED:
            apart = differences(found, labels, fused, resamples=resamples)
            result[group]["differences"] = apart
            print(f"\n| {title}, {group}, difference of AP50 | [95 % interval] |\n|---|---|")
            for name, rows in apart.items():
                for what, (value, low, high) in rows.items():
                    print(f"| {name}: {what} | {value:+.1f} [{low:+.1f}, {high:+.1f}] |")
    return result


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training.detect",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--weights", nargs="+", required=True, help="weights files or presets")
    parser.add_argument("--precision", help="run the weights on OpenVINO in this precision")
    parser.add_argument("--detector", nargs="+", type=Path, required=True, help="ONNX files")
    parser.add_argument("--detector-layout", default="auto", choices=("auto", *LAYOUTS))
    parser.add_argument("--classes", type=Path, help="class names, one a line; else the model's")
    parser.add_argument(
        "--set", nargs="+", required=True, dest="sets", metavar="NAME=VISIBLE,THERMAL,LABELS"
    )
    parser.add_argument(
        "--modules", nargs="*", default=[], help="Python files that register the layouts"
    )
    parser.add_argument("--resamples", type=int, default=200, help="for the intervals; 0 is none")
    parser.add_argument("--out", type=Path, help="JSON file for all figures")
    options = parser.parse_args(arguments)
    try:
        require_evaluator()
        import_files(options.modules)
        if options.out:
            options.out.parent.mkdir(parents=True, exist_ok=True)
        names = options.classes.read_text().splitlines() if options.classes else None
        pairs = [pair for text in options.sets for pair in find_labelled_pairs(text, names)]
        fusers = named_networks(options.weights, options.precision)
        result = {}
        for path in options.detector:
            detector = OnnxDetector(
                path, layout=options.detector_layout, classes=names, merge=MERGED
            )
            found, contrasts = detect_all(detector, pairs, fusers)
            result[path.stem] = report(
                path.stem, found, contrasts, pairs, list(fusers), options.resamples
            )
        if options.out:
            write_json(options.out, result, indent=1)
    except (OSError, RuntimeError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
