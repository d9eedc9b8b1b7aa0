# SPDX-License-Identifier: Apache-2.0
"""Object detectors on images: ONNX models, labelled boxes, average precision.

    detector = OnnxDetector(Path("yolox_nano.onnx"), classes=names, merge={"car": "vehicle"})
    labels = {p.name: p for p in read_labels(Path("labels.json"))}
    found = {name: detector.detect(image) for name, image in images.items()}
    scores = evaluate(found, labels, confidence=0.3)["person"]

Needs no ROS and no recording. Inference needs the package onnxruntime, average precision
pycocotools (extra `detectors`).
"""

from fusion_ros.detection.detector import FLOOR, Detection, DetectorError, OnnxDetector, overlap
from fusion_ros.detection.evaluation import ClassScores, evaluate, require_evaluator
from fusion_ros.detection.labels import LabelledBox, LabelledImage, read_class_names, read_labels
from fusion_ros.detection.layouts import LAYOUTS

__all__ = [
    "FLOOR",
    "LAYOUTS",
    "ClassScores",
    "Detection",
    "DetectorError",
    "LabelledBox",
    "LabelledImage",
    "OnnxDetector",
    "evaluate",
    "overlap",
    "read_class_names",
    "read_labels",
    "require_evaluator",
]
