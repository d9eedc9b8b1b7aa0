# SPDX-License-Identifier: Apache-2.0
"""The same detector on visible, thermal and fused pictures: does fusing help who comes after?"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from fusion_ros.replay.detector import Detection, OnnxDetector, iou
from fusion_ros.replay.distribution import distribution
from fusion_ros.replay.labels import IOUS, Label, Labels, average_precision
from fusion_ros.replay.log import PairEntry

PICTURES = ("visible", "thermal", "fused")
_SAME_BOX = 0.5


class DetectorSink:
    """Takes fused pairs and keeps what the detector says of each picture.

    Args:
        model, layout, confidence: see `OnnxDetector`.
        classes: a file of class names, one a line.
        labels: see `Labels`; with them, AP is given.
    """

    def __init__(
        self,
        model: str,
        layout: str = "auto",
        classes: str | None = None,
        labels: str | None = None,
        confidence: float = 0.25,
    ) -> None:
        names = None
        if classes is not None:
            lines = Path(classes).read_text(encoding="utf-8").splitlines()
            names = [line.strip() for line in lines if line.strip()]
        self._detector = OnnxDetector(
            Path(model), layout=layout, classes=names, confidence=confidence
        )
        self._labels = Labels(Path(labels), self._detector.names) if labels else None
        self._found: dict[str, list[list[Detection]]] = {name: [] for name in PICTURES}
        self._pairs: list[int] = []
        self._frames: list[int] = []
        self._truth: dict[int, list[Label]] = {}

    def take(
        self, entry: PairEntry, visible: np.ndarray, thermal: np.ndarray, fused: np.ndarray
    ) -> None:
        """See `FusedSink`."""
        for name, picture in zip(PICTURES, (visible, thermal, fused), strict=True):
            self._found[name].append(self._detector.detect(picture))
        self._pairs.append(entry.index)
        self._frames.append(entry.visible_index)
        if self._labels is not None:
            height, width = visible.shape[:2]
            boxes = self._labels.of(entry.visible_index, width, height)
            if boxes is not None:
                self._truth[entry.visible_index] = boxes

    def close(self) -> None:
        """See `FusedSink`."""

    def summary(self) -> dict[str, Any]:
        """Counts, confidence, agreement with the fused picture, and AP, by picture."""
        if self._labels is None:
            note = "No labels were given: counts and agreement tell no right from wrong."
        else:
            note = f"{len(self._truth)} of these frames are labelled; AP is over those."
        return {
            "model": self._detector.model,
            "layout": self._detector.layout,
            "confidence": self._detector.confidence,
            "frames": len(self._pairs),
            "labels_note": note,
            "pictures": {name: self._of(name) for name in PICTURES},
        }

    def over_time(self, at_s: list[float]) -> dict[str, dict[str, list[tuple[float, float]]]]:
        """ "count" and mean "confidence" of a frame's boxes over time, by picture.

        `at_s` is by pair. Frames without a box have no confidence.
        """
        counts, confidence = {}, {}
        for name, found in self._found.items():
            seen = [(at_s[pair], boxes) for pair, boxes in zip(self._pairs, found, strict=True)]
            counts[name] = [(at, float(len(boxes))) for at, boxes in seen]
            confidence[name] = [
                (at, sum(d.score for d in boxes) / len(boxes)) for at, boxes in seen if boxes
            ]
        return {"count": counts, "confidence": confidence}

    def write(self, path: Path) -> None:
        """Every box as a row of a CSV file."""
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["pair", "picture", "label", "score", "x1", "y1", "x2", "y2"])
            for at, pair in enumerate(self._pairs):
                for name in PICTURES:
                    for d in self._found[name][at]:
                        sides = (f"{side:.2f}" for side in d.box)
                        writer.writerow([pair, name, d.label, f"{d.score:.4f}", *sides])

    def _of(self, name: str) -> dict[str, Any]:
        found = self._found[name]
        scores = [d.score for boxes in found for d in boxes]
        facts: dict[str, Any] = {
            "detections": len(scores),
            "per_frame": len(scores) / max(1, len(found)),
            "confidence": distribution(scores),
            "agreement_with_fused": self._agreement(name),
        }
        if self._truth:
            labelled = {
                frame: boxes
                for frame, boxes in zip(self._frames, found, strict=True)
                if frame in self._truth
            }
            values = [average_precision(labelled, self._truth, t) for t in IOUS]
            facts["ap50"] = values[0]
            facts["ap"] = None if values[0] is None else float(np.mean(values))
        return facts

    def _agreement(self, name: str) -> float | None:
        """Boxes that both pictures have, of all boxes that either has (same class, IoU 0.5)."""
        both = either = 0
        for mine, fused in zip(self._found[name], self._found["fused"], strict=True):
            left = list(fused)
            for d in mine:
                same = [o for o in left if o.label == d.label and iou(d.box, o.box) >= _SAME_BOX]
                if same:
                    left.remove(same[0])
                    both += 1
            either += len(mine) + len(left)
        return both / either if either else None
