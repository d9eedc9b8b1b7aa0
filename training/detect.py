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
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch

from fusion_ros.cli.argument_types import whole_number
from fusion_ros.cli.exit_codes import COULD_NOT_RUN, DONE, reported
from fusion_ros.detection import (
    LAYOUTS,
    Detection,
    LabelledImage,
    OnnxDetector,
    evaluate,
    overlap,
    read_class_names,
    read_labels,
    require_evaluator,
)
from fusion_ros.files.writing import check_target, write_json
from fusion_ros.metrics.objects import object_contrast
from training.config_file import import_files
from training.contact_sheet import with_colour_of
from training.data.pairs import DataSetError, PairFiles, match_folders
from training.data.reading import read_pair
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
    """A pair of a set and its labels, in units of the label file."""

    key: Key
    files: PairFiles
    labels: LabelledImage


@dataclass(frozen=True)
class Measured:
    """What was found in the images of all pairs.

    Attributes:
        boxes: of every input, `late` included.
        contrasts: of the labelled objects in every input.
        labels: in pixels of the images.
        skipped: a line for each pair that cannot be read.
    """

    boxes: dict[str, dict[Key, list[Detection]]]
    contrasts: Contrasts
    labels: dict[Key, LabelledImage]
    skipped: list[str]


def find_sets(texts: Sequence[str], names: Sequence[str] | None = None) -> list[LabelledPair]:
    """Return the labelled pairs of all ``NAME=VISIBLE,THERMAL,LABELS``.

    Raises:
        DataSetError: a name is used twice or reserved; see `find_labelled_pairs`.
    """
    pairs: list[LabelledPair] = []
    used = {POOLED}
    for text in texts:
        pairs += find_labelled_pairs(text, names)
        if (name := text.partition("=")[0]) in used:
            raise DataSetError(f"--set has the name {name!r} twice, or it is {POOLED!r}")
        used.add(name)
    return pairs


def find_labelled_pairs(text: str, names: Sequence[str] | None = None) -> list[LabelledPair]:
    """Return the labelled pairs of ``NAME=VISIBLE,THERMAL,LABELS``.

    Args:
        text: name of the set, two folders of images, and COCO JSON or a folder of YOLO files.
        names: class names by number, for YOLO files.

    Raises:
        DataSetError: the text is of another form, or a labelled image has no pair or several.
    """
    name, equals, rest = text.partition("=")
    paths = rest.split(",")
    if not equals or len(paths) != 3:
        raise DataSetError(f"--set has {text!r}; allowed is NAME=VISIBLE,THERMAL,LABELS")
    visible, thermal, labels = map(Path, paths)
    found = match_folders(name, visible, thermal, resize_visible=True)
    for problem in found.problems:
        print(f"skipped: {problem}", file=sys.stderr)
    by_name: dict[str, list[PairFiles]] = {}
    for pair in found:
        by_name.setdefault(pair.visible.stem, []).append(pair)
    try:
        images = [p.renamed(MERGED) for p in read_labels(labels, names)]
    except (OSError, ValueError) as error:
        raise DataSetError(f"set {name}: {error}") from error
    absent = sorted(p.name for p in images if p.name not in by_name)
    if absent:
        raise DataSetError(f"set {name}: {labels} has {absent[0]}, which is not in {visible}")
    for image in images:
        if len(by_name[image.name]) > 1:
            places = " and ".join(str(pair.visible) for pair in by_name[image.name])
            raise DataSetError(
                f"set {name}: {labels} has {image.name}, and {places} are called {image.name}"
            )
    return [LabelledPair((name, p.name), by_name[p.name][0], p) for p in images]


def detect_all(
    detector: OnnxDetector, pairs: Sequence[LabelledPair], fusers: Mapping[str, Fuser]
) -> Measured:
    """Return the boxes and contrasts in every input of every pair.

    Raises:
        DataSetError: no pair can be read.
    """
    images_of = ("visible", "thermal", *fusers)
    found: dict[str, dict[Key, list[Detection]]] = {name: {} for name in (*images_of, LATE)}
    contrasts: dict[str, dict[Key, dict[str, np.ndarray]]] = {name: {} for name in images_of}
    labels: dict[Key, LabelledImage] = {}
    skipped: list[str] = []
    for pair in pairs:
        try:
            visible, thermal = read_pair(pair.files)[0]
        except DataSetError as error:
            skipped.append(f"set {pair.key[0]}: {error}")
            continue
        labels[pair.key] = pair.labels.at(thermal.shape[1], thermal.shape[0])
        images = {"visible": visible, "thermal": cv2.cvtColor(thermal, cv2.COLOR_GRAY2RGB)}
        for name, fuser in fusers.items():
            images[name] = with_colour_of(visible, fuser(pair.files.name, visible, thermal))
        for name, image in images.items():
            found[name][pair.key] = detector.detect(image)
            contrasts[name][pair.key] = contrast_by_class(image, labels[pair.key])
        found[LATE][pair.key] = pooled_boxes(found["visible"][pair.key], found["thermal"][pair.key])
    if not labels:
        raise DataSetError(f"no pair can be read; first: {skipped[:1]}")
    return Measured(found, contrasts, labels, skipped)


def known_to(
    detector: OnnxDetector, labels: Mapping[Key, LabelledImage]
) -> dict[Key, LabelledImage]:
    """Return the labels of the detector's classes; others are printed.

    Raises:
        DataSetError: the detector has none of the classes.
    """
    if detector.names is None:
        return dict(labels)
    known = {MERGED.get(name, name) for name in detector.names}
    labelled = {name for image in labels.values() for name in image.classes}
    if not labelled & known:
        raise DataSetError(
            f"detector {detector.model} has none of the labelled classes {sorted(labelled)[:10]}; "
            "--classes names its classes"
        )
    if labelled - known:
        print(f"{detector.model} lacks the classes {', '.join(sorted(labelled - known))}")
    return {key: replace(image, classes=image.classes & known) for key, image in labels.items()}


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
    measured: Measured,
    all_labels: Mapping[Key, LabelledImage],
    fused: Sequence[str],
    resamples: int,
) -> dict[str, dict]:
    """Print the tables of one detector; return all figures by set."""
    result: dict[str, dict] = {}
    found, contrasts = measured.boxes, measured.contrasts
    for group in (*dict.fromkeys(key[0] for key in all_labels), POOLED):
        labels = {key: own for key, own in all_labels.items() if group in (key[0], POOLED)}
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
    parser.add_argument(
        "--resamples", type=whole_number(0), default=200, help="for the intervals; 0 is none"
    )
    parser.add_argument("--out", type=Path, help="JSON file for all figures")
    options = parser.parse_args(arguments)
    return reported("python -m training.detect", lambda: run(options))


def run(options: argparse.Namespace) -> int:
    """Print and write the figures; returns the exit code."""
    require_evaluator()
    import_files(options.modules)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        check_target(options.out)
    stems = [path.stem for path in options.detector]
    if len(set(stems)) < len(stems):
        raise DataSetError(f"--detector has two files called {max(stems, key=stems.count)}")
    names = read_class_names(options.classes) if options.classes else None
    pairs = find_sets(options.sets, names)
    fusers = named_networks(options.weights, options.precision)
    if taken := {"visible", "thermal", LATE} & set(fusers):
        raise DataSetError(f"--weights has a file called {min(taken)}, as an input is; rename it")
    result = {}
    skipped: list[str] = []
    for path in options.detector:
        detector = OnnxDetector(path, layout=options.detector_layout, classes=names, merge=MERGED)
        measured = detect_all(detector, pairs, fusers)
        skipped = measured.skipped
        labels = known_to(detector, measured.labels)
        result[path.stem] = report(path.stem, measured, labels, list(fusers), options.resamples)
    for line in skipped:
        print(f"skipped: {line}", file=sys.stderr)
    if options.out:
        write_json(options.out, result, indent=1)
    return COULD_NOT_RUN if skipped else DONE


if __name__ == "__main__":
    sys.exit(main())
