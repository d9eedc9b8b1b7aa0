# SPDX-License-Identifier: Apache-2.0
"""Objects of the training pairs, and a detector's scores for them in each camera.

An objects file is JSON: for each pair's name in the pack, rows of ``[x1, y1, x2, y2, fused,
visible, thermal]``: the box of an object in pixels and a detector's score for it in a fused, the
visible and the thermal image. `training.pseudo_labels` writes such files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

#: Side of a cell of the preference planes in pixels of a crop.
CELL = 8
#: Margin of a box in pixels, or a quarter of its longer side if that is larger.
LEAST_MARGIN = 8.0
NO_OBJECTS = np.zeros((0, 7))


class ObjectsError(ValueError):
    """An invalid objects file; the message names the file and the fault."""


def read_objects(path: Path) -> dict[str, np.ndarray]:
    """Read boxes and scores, N x 7, by the pair's name.

    Raises:
        ObjectsError: the file cannot be read, or a pair has no rows of seven finite numbers.
    """
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ObjectsError(f"objects {path} cannot be read: {error}") from error
    if not isinstance(values, Mapping):
        raise ObjectsError(f"objects {path} is a {type(values).__name__}; allowed is an object")
    result = {}
    for name, rows in values.items():
        try:
            boxes = np.array(rows, float) if rows else NO_OBJECTS
        except (TypeError, ValueError):
            boxes = np.zeros(0)
        if boxes.ndim != 2 or boxes.shape[1] != 7 or not np.isfinite(boxes).all():
            raise ObjectsError(
                f"objects {path}: {name} is invalid; allowed: rows of 7 finite numbers"
            )
        result[name] = boxes
    return result


def preferences(scores: np.ndarray) -> np.ndarray:
    """Return N x 2 preferences of the visible and thermal image for N x 3 scores.

    The preference of a camera is its advantage over the fused image and the other camera; that of
    the worse camera is zero.
    """
    fused, visible, thermal = scores.T
    gain = np.stack([visible, thermal], axis=1) - np.stack([thermal, visible], axis=1)
    better = gain > 0
    gain = gain + np.maximum(np.stack([visible, thermal], axis=1) - fused[:, None], 0)
    return np.where(better, gain, 0.0)


def preference_planes(
    boxes: np.ndarray, corner: tuple[float, float], zoom: float, crop: tuple[int, int]
) -> np.ndarray:
    """Rasterise the preferences of the objects in a crop.

    Args:
        boxes: N x 7 in the pair's pixels.
        corner: top and left of the crop in the pair's pixels.
        zoom: magnification of the crop.
        crop: height and width of the crop, multiples of `CELL`.

    Returns:
        float32 (2, height / CELL, width / CELL) for the visible and the thermal image: 0 without an
        object, the mean where objects overlap.
    """
    planes = np.zeros((2, crop[0] // CELL, crop[1] // CELL), np.float32)
    count = np.zeros(planes.shape[1:], np.float32)
    y, x = (CELL * (np.arange(n) + 0.5) for n in planes.shape[1:])
    for box, preference in zip(boxes[:, :4], preferences(boxes[:, 4:]), strict=True):
        left, top, right, bottom = (box - [corner[1], corner[0]] * 2) * zoom
        margin = max(LEAST_MARGIN, 0.25 * max(right - left, bottom - top))
        inside = ((y >= top - margin) & (y <= bottom + margin))[:, None] & (
            (x >= left - margin) & (x <= right + margin)
        )
        planes[:, inside] += preference[:, None]
        count[inside] += 1
    return planes / np.maximum(count, 1)
