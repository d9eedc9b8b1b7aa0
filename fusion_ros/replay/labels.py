# SPDX-License-Identifier: Apache-2.0
"""Labelled boxes by frame, and average precision against them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fusion_ros.replay.detector import Detection, iou

IOUS = tuple(round(0.5 + 0.05 * n, 2) for n in range(10))
Label = tuple[tuple[float, float, float, float], str]
"""Box x1, y1, x2, y2, and class name."""


class Labels:
    """Boxes by the visible frame's number.

    Args:
        path: COCO json, whose pictures are numbered by the digits at the end of their names or by
            `frame_index`; or a folder of YOLO txt files named by frame number, boxes as shares.
        names: class names by number, for YOLO files.

    Raises:
        ValueError: it cannot be read as either.
    """

    def __init__(self, path: Path, names: Sequence[str] | None) -> None:
        self._shares: dict[int, list[Label]] = {}
        self._pixels: dict[int, list[Label]] = {}
        try:
            if path.is_dir():
                self._read_yolo(path, names)
            else:
                self._read_coco(path)
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"--labels {path} is neither COCO nor YOLO: {error!r}") from error
        self.frames = sorted({*self._shares, *self._pixels})

    def of(self, frame: int, width: int, height: int) -> list[Label] | None:
        """The boxes of a frame in pixels; None where it is not labelled."""
        if frame in self._pixels:
            return self._pixels[frame]
        if frame not in self._shares:
            return None
        return [
            ((x1 * width, y1 * height, x2 * width, y2 * height), name)
            for (x1, y1, x2, y2), name in self._shares[frame]
        ]

    def _read_yolo(self, folder: Path, names: Sequence[str] | None) -> None:
        files = sorted(folder.glob("*.txt"))
        files = [file for file in files if file.stem != "classes"]
        if not files:
            raise ValueError("the folder holds no .txt files")
        for file in files:
            boxes = []
            for line in file.read_text(encoding="utf-8").splitlines():
                if not line.strip():
                    continue
                number, x, y, w, h = line.split()[:5]
                x, y, w, h = (float(value) for value in (x, y, w, h))
                known = names is not None and int(number) < len(names)
                name = names[int(number)] if known else f"class {number}"
                boxes.append(((x - w / 2, y - h / 2, x + w / 2, y + h / 2), name))
            self._shares[_number(file.stem)] = boxes

    def _read_coco(self, path: Path) -> None:
        found = json.loads(path.read_text(encoding="utf-8"))
        classes = {c["id"]: c["name"] for c in found["categories"]}
        frames = {}
        for image in found["images"]:
            number = image.get("frame_index")
            frames[image["id"]] = (
                _number(Path(image["file_name"]).stem) if number is None else number
            )
            self._pixels[frames[image["id"]]] = []
        for label in found["annotations"]:
            x, y, w, h = label["bbox"]
            box = ((x, y, x + w, y + h), classes[label["category_id"]])
            self._pixels[frames[label["image_id"]]].append(box)


def _number(stem: str) -> int:
    digits = ""
    for letter in reversed(stem):
        if not letter.isdigit():
            break
        digits = letter + digits
    if not digits:
        raise ValueError(f"the name {stem!r} does not end in a frame number")
    return int(digits)


def average_precision(
    found: Mapping[int, Sequence[Detection]],
    labels: Mapping[int, Sequence[Label]],
    threshold: float,
) -> float | None:
    """AP at one IoU, all-point interpolation, mean over the labelled classes.

    Args:
        found, labels: by frame; frames without labels must not be in `found`.
        threshold: least IoU of a hit.

    Returns:
        0..1, or None where nothing is labelled.
    """
    names = {name for boxes in labels.values() for _, name in boxes}
    if not names:
        return None
    return float(np.mean([_class_ap(found, labels, name, threshold) for name in sorted(names)]))


def _class_ap(
    found: Mapping[int, Sequence[Detection]],
    labels: Mapping[int, Sequence[Label]],
    name: str,
    threshold: float,
) -> float:
    truth = {f: [box for box, n in boxes if n == name] for f, boxes in labels.items()}
    total = sum(len(boxes) for boxes in truth.values())
    claims = [(d.score, f, d.box) for f, ds in found.items() for d in ds if d.label == name]
    claims.sort(key=lambda claim: (-claim[0], claim[1]))
    taken: set[tuple[int, int]] = set()
    hits = []
    for _, frame, box in claims:
        free = [
            (iou(box, other), n)
            for n, other in enumerate(truth.get(frame, []))
            if (frame, n) not in taken
        ]
        best, n = max(free, default=(0.0, -1))
        hits.append(best >= threshold)
        if best >= threshold:
            taken.add((frame, n))
    right = np.cumsum(hits) if hits else np.array([0])
    recall = right / total
    precision = right / np.arange(1, len(right) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    steps = np.diff(np.concatenate([[0.0], recall]))
    return float((steps * envelope).sum())
