# SPDX-License-Identifier: Apache-2.0
"""What detectors' exports give out, as boxes: YOLOv5, v8 and v11, YOLOX, NanoDet, end-to-end.

All boxes are x1, y1, x2, y2 in pixels of the network's input. Scores are class confidences.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

Boxes = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Nx4 float32 boxes, N float32 scores, N int class numbers."""

NANODET_BINS = 8
_YOLOX_STRIDES = (8, 16, 32)
_NANODET_STRIDES = (8, 16, 32, 64)


class LayoutError(ValueError):
    """A model's output that fits no layout; the message tells its shape and what is read."""


def yolov5(output: np.ndarray, size: tuple[int, int]) -> Boxes:
    """N x (cx, cy, w, h, objectness, classes...), sigmoid and grid applied by the export."""
    scores = output[:, 5:] * output[:, 4:5] if output.shape[1] > 5 else output[:, 4:5]
    return _boxes(_corners(output[:, :4]), scores)


def yolov8(output: np.ndarray, size: tuple[int, int]) -> Boxes:
    """(cx, cy, w, h, classes...) x N, as Ultralytics exports v8 to v11 without NMS."""
    rows = output.T if output.shape[0] < output.shape[1] else output
    return _boxes(_corners(rows[:, :4]), rows[:, 4:])


def yolox(output: np.ndarray, size: tuple[int, int]) -> Boxes:
    """N x (cx, cy, w, h, objectness, classes...) on the grid of each stride, not yet decoded."""
    centres, strides = _grid(size, _YOLOX_STRIDES)
    if len(centres) != len(output):
        raise LayoutError(
            f"YOLOX at {size[0]}x{size[1]} has {len(centres)} rows, the model gives {len(output)}"
        )
    decoded = output.astype(np.float32).copy()
    decoded[:, :2] = (output[:, :2] + centres) * strides
    decoded[:, 2:4] = np.exp(output[:, 2:4]) * strides
    return yolov5(decoded, size)


def nanodet(output: np.ndarray, size: tuple[int, int]) -> Boxes:
    """N x (classes..., 4 x 8 bins of the distance to each side), NanoDet-Plus's strides 8 to 64."""
    distances = 4 * NANODET_BINS
    centres, strides = _grid(size, _NANODET_STRIDES)
    if len(centres) != len(output) or output.shape[1] <= distances:
        raise LayoutError(
            f"NanoDet at {size[0]}x{size[1]} has {len(centres)} rows of {distances} and classes, "
            f"the model gives {output.shape}"
        )
    bins = output[:, -distances:].reshape(-1, 4, NANODET_BINS)
    bins = np.exp(bins - bins.max(axis=2, keepdims=True))
    expected = (bins / bins.sum(axis=2, keepdims=True)) @ np.arange(NANODET_BINS)
    away = expected * strides
    middle = centres * strides
    corners = np.concatenate([middle - away[:, :2], middle + away[:, 2:]], axis=1)
    return _boxes(corners, output[:, :-distances])


def end_to_end(output: np.ndarray, size: tuple[int, int]) -> Boxes:
    """N x (x1, y1, x2, y2, score, class): NMS is in the model (YOLOv10, nms=True exports)."""
    return (
        output[:, :4].astype(np.float32),
        output[:, 4].astype(np.float32),
        output[:, 5].astype(int),
    )


LAYOUTS: Mapping[str, Callable[[np.ndarray, tuple[int, int]], Boxes]] = MappingProxyType(
    {
        "yolov5": yolov5,
        "yolov8": yolov8,
        "yolov11": yolov8,
        "yolox": yolox,
        "nanodet": nanodet,
        "end-to-end": end_to_end,
    }
)


def guess_layout(shape: Sequence[int], size: tuple[int, int], classes: int | None) -> str:
    """The layout of an output of shape (rows, columns) for an input of (width, height).

    Raises:
        LayoutError: none fits.
    """
    if len(shape) == 2:
        rows, columns = shape
        if columns == 6 and rows <= 1000 and classes != 1:
            return "end-to-end"
        if rows < columns and (classes is None or rows == classes + 4):
            return "yolov8"
        if columns > 4 * NANODET_BINS and rows == _cells(size, _NANODET_STRIDES):
            return "nanodet"
        if classes is not None and columns == classes + 4:
            return "yolov8"
        if rows == _cells(size, _YOLOX_STRIDES):
            return "yolox"  # YOLOv5 has three boxes a cell
        if rows == 3 * _cells(size, _YOLOX_STRIDES):
            return "yolov5"
    raise LayoutError(
        f"the model's output has shape {tuple(shape)}; name its layout with --detector-layout: "
        f"{', '.join(LAYOUTS)}"
    )


def _cells(size: tuple[int, int], strides: Sequence[int]) -> int:
    return sum(-(-size[0] // s) * -(-size[1] // s) for s in strides)


def _grid(size: tuple[int, int], strides: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Column and row of every cell, and its stride: N x 2 and N x 1."""
    cells, steps = [], []
    for stride in strides:
        columns, rows = -(-size[0] // stride), -(-size[1] // stride)
        y, x = np.mgrid[:rows, :columns]
        cells.append(np.stack([x.ravel(), y.ravel()], axis=1))
        steps.append(np.full((rows * columns, 1), stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(steps).astype(np.float32)


def _corners(boxes: np.ndarray) -> np.ndarray:
    half = boxes[:, 2:4] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1).astype(np.float32)


def _boxes(corners: np.ndarray, scores: np.ndarray) -> Boxes:
    classes = scores.argmax(axis=1)
    best = scores[np.arange(len(scores)), classes]
    return corners.astype(np.float32), best.astype(np.float32), classes.astype(int)
