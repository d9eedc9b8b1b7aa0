# SPDX-License-Identifier: Apache-2.0
"""Average precision by COCO's rules (pycocotools), recall and missed objects."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import io
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from fusion_ros.detection.detector import Detection
from fusion_ros.detection.labels import LabelledBox, LabelledImage

Key = TypeVar("Key", bound=Hashable)

_MOST_BOXES = 1000  # more than a detector returns for one image


@dataclasses.dataclass(frozen=True)
class ClassScores(Generic[Key]):
    """Scores of one class, 0 to 1.

    Attributes:
        objects: number of labelled objects that are not ignored.
        ap50, ap50_95: average precision over all boxes, at IoU 0.5 and as the mean over IoU 0.5,
            0.55 ... 0.95.
        recall: share of the objects matched by a box of the chosen confidence (IoU 0.5).
        missed: the other objects, with the keys of their images.
    """

    objects: int
    ap50: float
    ap50_95: float
    recall: float
    missed: tuple[tuple[Key, LabelledBox], ...]


def require_evaluator() -> None:
    """Check that pycocotools is installed.

    Raises:
        RuntimeError: it is not installed.
    """
    if importlib.util.find_spec("pycocotools") is None:
        raise RuntimeError("average precision needs pycocotools: pip install pycocotools")


def evaluate(
    found: Mapping[Key, Sequence[Detection]],
    labels: Mapping[Key, LabelledImage],
    *,
    confidence: float,
) -> dict[str, ClassScores[Key]]:
    """Score detections against labels for each class.

    A class is evaluated on the images whose `classes` contain it. Detections in an ignored region
    of any class are not counted.

    Args:
        found: all boxes above the detector's floor by image. It may contain images without
            labels, and images without a box may be missing.
        labels: labels by the same keys, in pixels of the same images.
        confidence: least score of a box that counts for recall and misses.

    Returns:
        Scores by class name, sorted; classes without an object are omitted.
    """
    classes = sorted({name for image in labels.values() for name in image.classes})
    scores = {name: _score(found, labels, name, confidence) for name in classes}
    return {name: value for name, value in scores.items() if value is not None}


def _score(
    found: Mapping[Key, Sequence[Detection]],
    labels: Mapping[Key, LabelledImage],
    name: str,
    confidence: float,
) -> ClassScores[Key] | None:
    keys = [key for key, image in labels.items() if name in image.classes]
    truth: list[dict[str, Any]] = []
    boxes: dict[int, tuple[Key, LabelledBox]] = {}
    for image, key in enumerate(keys, 1):
        for labelled in labels[key].boxes:
            if labelled.ignored or labelled.label == name:
                number = len(truth) + 1  # pycocotools takes 0 for "no match"
                entry = _annotation(number, image, labelled.box)
                truth.append({**entry, "iscrowd": int(labelled.ignored)})
                boxes[number] = (key, labelled)
    wanted = {number: pair for number, pair in boxes.items() if not pair[1].ignored}
    if not wanted:
        return None
    own = [
        (image, detection)
        for image, key in enumerate(keys, 1)
        for detection in found.get(key, ())
        if detection.label == name
    ]
    claims = [
        {**_annotation(number, image, detection.box), "iscrowd": 0, "score": detection.score}
        for number, (image, detection) in enumerate(own, 1)
    ]
    evaluation = _evaluated(truth, claims, len(keys))
    precision = evaluation.eval["precision"][:, :, 0, 0, 0]  # by IoU and recall
    hit = {
        number
        for image in evaluation.evalImgs
        if image is not None
        for number, match in zip(image["gtIds"], image["gtMatches"][0], strict=True)
        if match and claims[int(match) - 1]["score"] >= confidence
    }
    missed = tuple(pair for number, pair in wanted.items() if number not in hit)
    return ClassScores(
        objects=len(wanted),
        ap50=float(precision[0].mean()),
        ap50_95=float(precision.mean()),
        recall=1 - len(missed) / len(wanted),
        missed=missed,
    )


def _evaluated(truth: list[dict[str, Any]], claims: list[dict[str, Any]], images: int) -> Any:
    """Return COCO's evaluation of one class at ten IoUs."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    sides = []
    with contextlib.redirect_stdout(io.StringIO()):
        for annotations in (truth, claims):
            side = COCO()
            side.dataset = {
                "images": [{"id": image} for image in range(1, images + 1)],
                "categories": [{"id": 1}],
                "annotations": annotations,
            }
            side.createIndex()
            sides.append(side)
        evaluation = COCOeval(*sides, "bbox")
        evaluation.params.maxDets = [_MOST_BOXES]
        evaluation.params.areaRng = [[0, float("inf")]]
        evaluation.params.areaRngLbl = ["all"]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def _annotation(number: int, image: int, box: Sequence[float]) -> dict[str, Any]:
    width, height = box[2] - box[0], box[3] - box[1]
    return {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "bbox": [box[0], box[1], width, height],
        "area": width * height,
    }
