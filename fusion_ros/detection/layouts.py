# SPDX-License-Identifier: Apache-2.0
"""Input and output conventions of detector exports: YOLOv5 to v11, YOLOX, NanoDet, end-to-end.

Boxes are x1, y1, x2, y2 in pixels of the network's input. Scores are class confidences.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np

Boxes = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Nx4 float32 boxes, N float32 scores, N int class numbers."""

_BINS = 8
_SIDES = 4 * _BINS
"""NanoDet's columns for the distances to the four sides of a box."""
_STRIDES = (8, 16, 32)
_PLUS_STRIDES = (8, 16, 32, 64)


@dataclasses.dataclass(frozen=True)
class Layout:
    """Input and output convention of one kind of export.

    Attributes:
        output: description of the outputs for messages.
        decode: converts outputs without batch axis, and the input's (width, height), to boxes.
        order: channel order, "RGB" or "BGR".
        scale: "unit" for 0 to 1, "bytes" for 0 to 255, "imagenet" for ImageNet normalisation.
        centred: whether the letterboxed image is centred, not in the upper left corner.
        padding: grey level around the letterboxed image.
    """

    output: str
    decode: Callable[[Sequence[np.ndarray], tuple[int, int]], Boxes]
    order: str = "RGB"
    scale: str = "unit"
    centred: bool = True
    padding: int = 114

    def feed(self, rgb: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, float, int, int]:
        """Letterbox a `uint8` image into a 1x3xHxW tensor.

        Returns:
            The tensor, the scale from image to tensor, and the left and top margin.
        """
        width, height = size
        scale = min(width / rgb.shape[1], height / rgb.shape[0])
        inner = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
        left, top = ((width - inner[0]) // 2, (height - inner[1]) // 2) if self.centred else (0, 0)
        canvas = np.full((height, width, 3), self.padding, np.uint8)
        canvas[top : top + inner[1], left : left + inner[0]] = cv2.resize(rgb, inner)
        pixels = (canvas if self.order == "RGB" else canvas[:, :, ::-1]).astype(np.float32)
        if self.scale == "unit":
            pixels /= 255
        elif self.scale == "imagenet":  # in BGR order
            pixels = (pixels - (103.53, 116.28, 123.675)) / (57.375, 57.12, 58.395)
        return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], np.float32), scale, left, top


def _yolov8(outputs: Sequence[np.ndarray], size: tuple[int, int]) -> Boxes:
    rows = outputs[0].T
    return _boxes(_corners(rows[:, :4]), rows[:, 4:])


def _yolov5(outputs: Sequence[np.ndarray], size: tuple[int, int]) -> Boxes:
    rows = outputs[0]
    return _boxes(_corners(rows[:, :4]), rows[:, 4:5] * rows[:, 5:])


def _yolox(outputs: Sequence[np.ndarray], size: tuple[int, int]) -> Boxes:
    cells, strides = _grid(size, _STRIDES)
    rows = outputs[0].astype(np.float32)
    centres = (rows[:, :2] + cells) * strides
    sides = np.exp(rows[:, 2:4]) * strides
    return _boxes(_corners(np.concatenate([centres, sides], axis=1)), rows[:, 4:5] * rows[:, 5:])


def _nanodet_plus(outputs: Sequence[np.ndarray], size: tuple[int, int]) -> Boxes:
    cells, strides = _grid(size, _PLUS_STRIDES)
    rows = outputs[0]
    return _boxes(_sides(cells * strides, rows[:, -_SIDES:], strides), rows[:, :-_SIDES])


def _nanodet(outputs: Sequence[np.ndarray], size: tuple[int, int]) -> Boxes:
    cells, strides = _grid(size, _STRIDES)
    large_first = sorted(outputs, key=len, reverse=True)
    distances = np.concatenate([o for o in large_first if o.shape[1] == _SIDES])
    scores = np.concatenate([o for o in large_first if o.shape[1] != _SIDES])
    return _boxes(_sides((cells + 0.5) * strides, distances, strides), scores)


def _end_to_end(outputs: Sequence[np.ndarray], size: tuple[int, int]) -> Boxes:
    rows = outputs[0]
    return rows[:, :4].astype(np.float32), rows[:, 4].astype(np.float32), rows[:, 5].astype(int)


_NANODET: dict[str, Any] = {"order": "BGR", "scale": "imagenet", "padding": 0}
LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        "yolov8": Layout("1 x (4 + classes) x N: Ultralytics v8 and later without NMS", _yolov8),
        "yolov5": Layout("1 x N x (5 + classes), decoded: YOLOv5, YOLOv7", _yolov5),
        "yolox": Layout("1 x N x (5 + classes), not decoded: YOLOX", _yolox, "BGR", "bytes", False),
        "nanodet-plus": Layout(
            "1 x N x (classes + 32), strides 8 to 64: NanoDet-Plus", _nanodet_plus, **_NANODET
        ),
        "nanodet": Layout(
            "six outputs N x classes and N x 32, strides 8 to 32: NanoDet", _nanodet, **_NANODET
        ),
        "end-to-end": Layout("1 x N x 6 with NMS inside: YOLOv10, YOLO26, nms=True", _end_to_end),
    }
)


def fits(
    name: str, shapes: Sequence[Sequence[int]], size: tuple[int, int], classes: int | None
) -> bool:
    """Return whether outputs of these shapes (without the batch axis) can be read in a layout.

    `size` is (width, height) of the input, `classes` the number of classes, if known.
    """
    if any(len(shape) != 2 for shape in shapes):
        return False
    cells = [_cells(size, (stride,)) for stride in _STRIDES]
    if name == "nanodet":
        lengths = sorted(shape[0] for shape in shapes)
        sides = sorted(shape[0] for shape in shapes if shape[1] == _SIDES)
        found = {shape[1] for shape in shapes if shape[1] != _SIDES}
        same = len(found) == 1 and classes in (None, *found)
        return lengths == sorted(2 * cells) and sides == sorted(cells) and same
    if len(shapes) != 1:
        return False
    rows, columns = shapes[0]
    if name == "end-to-end":
        return columns == 6
    if name == "yolov8":
        return rows == classes + 4 if classes is not None else 4 < rows < columns
    if name == "nanodet-plus":
        expected = columns - _SIDES
        return rows == _cells(size, _PLUS_STRIDES) and expected > 0 and classes in (None, expected)
    expected = columns - 5
    if expected <= 0 or classes not in (None, expected):
        return False
    return name == "yolov5" or rows == sum(cells)


def guess_layout(
    shapes: Sequence[Sequence[int]], size: tuple[int, int], classes: int | None
) -> str | None:
    """Return the layout that fits the output shapes, or None if it is not clear.

    See `fits` for the arguments.
    """
    if fits("end-to-end", shapes, size, classes) and shapes[0][0] <= 1000 and classes != 1:
        return "end-to-end"
    for name in ("nanodet", "nanodet-plus", "yolov8", "yolox"):
        if fits(name, shapes, size, classes):
            return name
    # YOLOv5 has three boxes a cell; other counts can be YOLOX at other strides.
    if fits("yolov5", shapes, size, classes) and shapes[0][0] == 3 * _cells(size, _STRIDES):
        return "yolov5"
    return None


def _cells(size: tuple[int, int], strides: Sequence[int]) -> int:
    return sum(-(-size[0] // s) * -(-size[1] // s) for s in strides)


def _grid(size: tuple[int, int], strides: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return column and row of each cell, and its stride, in row order."""
    cells, steps = [], []
    for stride in strides:
        columns, rows = -(-size[0] // stride), -(-size[1] // stride)
        x, y = np.meshgrid(np.arange(columns), np.arange(rows))
        cells.append(np.stack([x.ravel(), y.ravel()], axis=1))
        steps.append(np.full((columns * rows, 1), stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(steps).astype(np.float32)


def _sides(middle: np.ndarray, distances: np.ndarray, strides: np.ndarray) -> np.ndarray:
    """Decode boxes around points from distributions over 8 distances for each side."""
    bins = distances.astype(np.float32).reshape(-1, 4, _BINS)
    bins = np.exp(bins - bins.max(axis=2, keepdims=True))
    away = (bins / bins.sum(axis=2, keepdims=True)) @ np.arange(_BINS, dtype=np.float32) * strides
    return np.concatenate([middle - away[:, :2], middle + away[:, 2:]], axis=1)


def _corners(boxes: np.ndarray) -> np.ndarray:
    half = boxes[:, 2:] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)


def _boxes(corners: np.ndarray, scores: np.ndarray) -> Boxes:
    classes = scores.argmax(axis=1)
    best = scores[np.arange(len(scores)), classes]
    return corners.astype(np.float32), best.astype(np.float32), classes
