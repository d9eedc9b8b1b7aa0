# SPDX-License-Identifier: Apache-2.0
"""Evaluation of a detector on the visible, thermal and fused images of a replay."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fusion_ros.detection import (
    FLOOR,
    Detection,
    LabelledImage,
    OnnxDetector,
    evaluate,
    overlap,
    read_class_names,
    read_labels,
    require_evaluator,
)
from fusion_ros.files.tables import new_table
from fusion_ros.replay.gallery import PANELS, Moment, keep_moment, with_boxes
from fusion_ros.replay.log import PairEntry
from fusion_ros.replay.run import FusedSink
from fusion_ros.streams.series import describe_series

_SAME_BOX = 0.5
_MOST_MISSES_SHOWN = 6


class DetectorSink(FusedSink):
    """Sink that runs a detector on the images of fused pairs.

    Counts, agreement, recall and misses use boxes of at least `confidence`. Average precision uses
    all boxes above the detector's floor, which are kept for labelled frames only.

    Args:
        model, layout: see `OnnxDetector`.
        classes: file of class names, one per line.
        labels: see `read_labels`.
        merge: replacement of class names, in the model and in the labels.
        confidence: least score of a displayed box.
        frame_names: names of the visible files without suffix, to match labels by name; None
            matches labels by frame number.

    Raises:
        DetectorError: the model cannot be used.
        RuntimeError: labels are given and pycocotools is missing.
        ValueError: a file cannot be read.
    """

    def __init__(
        self,
        model: str,
        layout: str = "auto",
        classes: str | None = None,
        labels: str | None = None,
        merge: Mapping[str, str] | None = None,
        confidence: float = 0.25,
        frame_names: Sequence[str] | None = None,
    ) -> None:
        names = read_class_names(Path(classes)) if classes is not None else None
        self._detector = OnnxDetector(Path(model), layout=layout, classes=names, merge=merge)
        self._confidence = confidence
        self._labels: dict[int, LabelledImage] | None = None
        self._not_measured: list[str] = []
        known, merge = self._detector.names, merge or {}
        images: list[LabelledImage] = []
        if labels is not None:
            require_evaluator()
            images = read_labels(Path(labels), known)
        classes_here = {*(known or ()), *(name for image in images for name in image.classes)}
        if unknown := sorted(set(merge) - classes_here):
            raise ValueError(
                f"--merge-classes contains {unknown}, a class of neither the model nor the labels"
            )
        if labels is not None:
            images, self._not_measured = _of_the_model(labels, images, known, merge)
            self._labels = _by_frame(labels, images, frame_names)
        self._shown: dict[str, list[list[Detection]]] = {name: [] for name in PANELS}
        self._all: dict[str, dict[int, list[Detection]]] = {name: {} for name in PANELS}
        self._pairs: list[int] = []
        self._truth: dict[int, LabelledImage] = {}
        self._misses: list[tuple[int, Moment]] = []

    def take(
        self, entry: PairEntry, visible: np.ndarray, thermal: np.ndarray, fused: np.ndarray
    ) -> None:
        """See `FusedSink`."""
        images = dict(zip(PANELS, (visible, thermal, fused), strict=True))
        found = {name: self._detector.detect(image) for name, image in images.items()}
        for name, boxes in found.items():
            self._shown[name].append([d for d in boxes if d.score >= self._confidence])
        self._pairs.append(entry.index)
        frame = entry.visible_index
        if self._labels is not None and frame in self._labels:
            truth = self._labels[frame].at(visible.shape[1], visible.shape[0])
            self._truth[frame] = truth
            for name, boxes in found.items():
                self._all[name][frame] = boxes
            self._keep_misses(entry.index, images, found, truth)

    @property
    def worst_misses(self) -> list[Moment]:
        """Images of the frames with the most objects missed in the fused image."""
        return [moment for _, moment in self._misses]

    def shown_last(self, image: str) -> list[Detection]:
        """Return the boxes of at least `confidence` in an image of the last pair."""
        return self._shown[image][-1]

    def summary(self) -> dict[str, Any]:
        """Return counts, confidence, agreement with the fused image, and scores by class."""
        images = {name: self._of(name) for name in PANELS}
        ap50 = [facts["ap50"] for facts in images.values() if facts.get("ap50") is not None]
        return {
            "model": self._detector.model,
            "layout": self._detector.layout,
            "confidence": self._confidence,
            "floor": FLOOR,
            "frames": len(self._pairs),
            "labelled_frames": len(self._truth),
            "labels_note": self._note(),
            "images": images,
            "ap50_gain": ap50[2] - max(ap50[:2]) if len(ap50) == 3 else None,
        }

    def write(self, path: Path) -> None:
        """Write the boxes of at least the chosen confidence to a CSV file."""
        with new_table(path) as table:
            table.write(["pair", "image", "label", "score", "x1", "y1", "x2", "y2"])
            for (at, pair), name in itertools.product(enumerate(self._pairs), PANELS):
                for d in self._shown[name][at]:
                    sides = (f"{side:.2f}" for side in d.box)
                    table.write([pair, name, d.label, f"{d.score:.4f}", *sides])

    def _note(self) -> str:
        if self._labels is None:
            return "No labels were given: counts and agreement do not show which boxes are right."
        if not self._truth:
            return f"None of the {len(self._labels)} labelled images is among these frames."
        text = f"{len(self._truth)} of these frames are labelled; AP is over those, and over all "
        text += f"boxes of at least {FLOOR:g}."
        if self._not_measured:
            left_out = ", ".join(self._not_measured)
            text += f" Not measured, since the model lacks these classes: {left_out}."
        return text

    def _of(self, name: str) -> dict[str, Any]:
        shown = self._shown[name]
        scores = [d.score for boxes in shown for d in boxes]
        facts: dict[str, Any] = {
            "detections": len(scores),
            "per_frame": len(scores) / max(1, len(shown)),
            "confidence": describe_series(scores),
            "agreement_with_fused": self._agreement(name),
        }
        if self._truth:
            found = evaluate(self._all[name], self._truth, confidence=self._confidence)
            facts["classes"] = {
                label: {"objects": s.objects, "ap50": s.ap50, "ap": s.ap50_95, "recall": s.recall,
                        "misses": len(s.missed)}
                for label, s in found.items()
            }  # fmt: skip
            for key in ("ap50", "ap"):
                values = [scores[key] for scores in facts["classes"].values()]
                facts[key] = float(np.mean(values)) if values else None
        return facts

    def _agreement(self, name: str) -> float | None:
        """Return the share of boxes that both images contain (same class, IoU 0.5)."""
        both = either = 0
        for mine, fused in zip(self._shown[name], self._shown["fused"], strict=True):
            left = list(fused)
            for d in mine:
                alike = (o for o in left if o.label == d.label)
                same = next((o for o in alike if overlap(d.box, o.box) >= _SAME_BOX), None)
                if same is not None:
                    left.remove(same)
                    both += 1
            either += len(mine) + len(left)
        return both / either if either else None

    def _keep_misses(
        self,
        pair: int,
        images: Mapping[str, np.ndarray],
        found: Mapping[str, list[Detection]],
        truth: LabelledImage,
    ) -> None:
        missed = {}
        for name, boxes in found.items():
            scores = evaluate({0: boxes}, {0: truth}, confidence=self._confidence).values()
            missed[name] = [box for of_class in scores for _, box in of_class.missed]
        count = len(missed["fused"])
        if not count or (len(self._misses) == _MOST_MISSES_SHOWN and count <= self._misses[-1][0]):
            return
        objects = [box for box in truth.boxes if not box.ignored]
        panels = [
            with_boxes(
                image,
                missed=[box.box for box in missed[name]],
                found=[box.box for box in objects if box not in missed[name]],
            )
            for name, image in images.items()
        ]
        others = ", ".join(f"{name} {len(missed[name])}" for name in PANELS[:2])
        why = f"{count} of {len(objects)} objects missed in the fused image ({others})"
        self._misses.append((count, keep_moment(pair, *panels, why=why)))
        self._misses.sort(key=lambda item: -item[0])
        del self._misses[_MOST_MISSES_SHOWN:]


def _of_the_model(
    path: str,
    images: Sequence[LabelledImage],
    known: Sequence[str] | None,
    merge: Mapping[str, str],
) -> tuple[list[LabelledImage], list[str]]:
    """Return the labels of the model's classes, and the names of the other classes."""
    if known is None:
        raise ValueError("the model contains no class names: --labels needs --classes FILE")
    own = {merge.get(name, name) for name in known}
    renamed = [image.renamed(merge) for image in images]
    labelled = {name for image in renamed for name in image.classes}
    if not labelled & own:
        raise ValueError(
            f"labels {path}: the model has none of the classes {sorted(labelled)[:10]}; map its "
            "classes to them with --merge-classes"
        )
    measured = [dataclasses.replace(p, classes=p.classes & own) for p in renamed]
    return measured, sorted(labelled - own)


def _by_frame(
    path: str, images: Sequence[LabelledImage], frame_names: Sequence[str] | None
) -> dict[int, LabelledImage]:
    """Return the labels by visible frame number."""
    if frame_names is not None:
        known = {image.name: image for image in images}
        return {n: known[name] for n, name in enumerate(frame_names) if name in known}
    labels: dict[int, LabelledImage] = {}
    for image in images:
        where = f"labels {path}: the name {image.name!r}"
        if image.frame is None:
            raise ValueError(f"{where} does not end in a frame number and has no frame_index")
        if image.frame in labels:
            other = labels[image.frame].name
            raise ValueError(f"{where} and {other!r} both stand for frame {image.frame}")
        labels[image.frame] = image
    return labels
