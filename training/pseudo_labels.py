# SPDX-License-Identifier: Apache-2.0
"""``python -m training.pseudo_labels``: the objects file of `loss.objects`, without labels.

    python -m training.pseudo_labels CONFIG.yaml --weights FILE|PRESET --detector FILE.onnx
        --classes coco.names --out objects.json

A detector looks at the visible, the thermal and the fused picture of each training pair of a
config, as they are and mirrored. Boxes of people and vehicles that are sure in any of them are the
objects; an object's score in a picture is that of the best box there that overlaps it, the mean of
both views. Never judge weights by the detector that they were trained with.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from fusion_ros.detection import Detection, DetectorError, OnnxDetector, overlap
from fusion_ros.files.writing import write_json
from fusion_ros.model.weights import WeightsError
from training.config import ConfigError, load_config
from training.detect import MERGED, SAME_BOX, fused_in_colour, pooled_boxes
from training.evaluate import Fuser, named_networks
from training.pairs import DataSetError
from training.sampling import prepare_pack

SURE = 0.35
"""Least score, in any of the pictures, of a box that makes an object."""
CLASSES = ("person", "vehicle")


def objects_of(
    detector: OnnxDetector, fuser: Fuser, name: str, visible: np.ndarray, thermal: np.ndarray
) -> list[list[float]]:
    """Rows of an objects file (`training.objects`) for one pair."""
    pictures = (
        fused_in_colour(fuser, name, visible, thermal),
        visible,
        cv2.cvtColor(thermal, cv2.COLOR_GRAY2RGB),
    )
    views = [
        [
            [d for d in detector.detect(picture) if d.label in CLASSES],
            mirrored(detector.detect(np.ascontiguousarray(picture[:, ::-1])), visible.shape[1]),
        ]
        for picture in pictures
    ]
    sure = [d for views_of in views for view in views_of for d in view if d.score >= SURE]
    return [
        [*item.box, *(float(np.mean([best_score(v, item) for v in own])) for own in views)]
        for item in pooled_boxes(sure)
    ]


def mirrored(detections: Iterable[Detection], width: int) -> list[Detection]:
    """Boxes of `CLASSES` found in a mirrored picture, in pixels of the picture itself."""
    return [
        Detection((width - d.box[2], d.box[1], width - d.box[0], d.box[3]), d.score, d.label)
        for d in detections
        if d.label in CLASSES
    ]


def best_score(view: Sequence[Detection], item: Detection) -> float:
    """The best score of a box of this class that overlaps an object; 0 where there is none."""
    same = (d for d in view if d.label == item.label and overlap(d.box, item.box) >= SAME_BOX)
    return max((d.score for d in same), default=0.0)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m training.pseudo_labels",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", type=Path, help="a training config; its `train` is looked at")
    parser.add_argument("--weights", default="compact", help="fuses; a file or a preset")
    parser.add_argument("--detector", type=Path, required=True, help="ONNX file")
    parser.add_argument("--classes", type=Path, help="class names, one a line; else the model's")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    try:
        config = load_config(options.config)
        pack, problems = prepare_pack(config.train, Path(config.pack_folder))
        for problem in problems:
            print(f"skipped: {problem}", file=sys.stderr)
        names = options.classes.read_text().splitlines() if options.classes else None
        detector = OnnxDetector(options.detector, classes=names, merge=MERGED)
        (fuser,) = named_networks([options.weights]).values()
        rows = {}
        for index, pair in enumerate(tqdm(pack.pairs, unit="pair", disable=None)):
            visible, thermal = (np.ascontiguousarray(x) for x in pack.frame(index))
            rows[pair.name] = objects_of(detector, fuser, pair.name, visible, thermal)
    except (ConfigError, DataSetError, DetectorError, OSError, WeightsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    write_json(options.out, rows, indent=None)
    print(f"{sum(map(len, rows.values()))} objects in {len(rows)} pairs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
