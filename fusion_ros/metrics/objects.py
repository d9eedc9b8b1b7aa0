# SPDX-License-Identifier: Apache-2.0
"""Contrast of labelled objects with their surroundings."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fusion_ros.metrics.checks import check_images

#: Width of the surroundings relative to a box's longer side.
MARGIN = 0.5
LEAST_MARGIN = 8


def object_contrast(image: Tensor, boxes: Sequence[tuple[float, float, float, float]]) -> Tensor:
    """Return the contrast of each box relative to the variation of its surroundings.

        |mean inside - mean of the surroundings| / standard deviation of the surroundings

    The surroundings are a border around the box without the other boxes; its width is `MARGIN` of
    the longer side and at least `LEAST_MARGIN` pixels. The value is high for a bright person on a
    uniform street and low for the same person in front of bright clutter.

    Args:
        image: 1, 1, H, W in [0, 1].
        boxes: x1, y1, x2, y2 in pixels; every pixel that a box touches is inside.

    Returns:
        One value >= 0 for each box; the deviation is taken as at least half a grey level. NaN for a
        box outside the image or without surroundings.
    """
    check_images(image=image)
    if image.shape[:2] != (1, 1):
        raise ValueError(f"image has shape {tuple(image.shape)}; allowed: 1, 1, H, W")
    height, width = image.shape[-2:]
    plane = image[0, 0]
    areas = []
    for left, top, right, bottom in boxes:
        rows = slice(max(int(top // 1), 0), max(min(-int(-bottom // 1), height), 0))
        columns = slice(max(int(left // 1), 0), max(min(-int(-right // 1), width), 0))
        areas.append((rows, columns))
    free = torch.ones_like(plane, dtype=torch.bool)
    for area in areas:
        free[area] = False
    values = []
    for (rows, columns), (left, top, right, bottom) in zip(areas, boxes, strict=True):
        margin = int(max(LEAST_MARGIN, MARGIN * max(right - left, bottom - top)) + 0.5)
        frame = (
            slice(max(rows.start - margin, 0), rows.stop + margin),
            slice(max(columns.start - margin, 0), columns.stop + margin),
        )
        inside, around = plane[rows, columns], plane[frame][free[frame]]
        if inside.numel() == 0 or around.numel() < 2:
            values.append(plane.new_tensor(torch.nan))
            continue
        spread = around.std(unbiased=False).clamp_min(0.5 / 255)
        values.append((inside.mean() - around.mean()).abs() / spread)
    return torch.stack(values) if values else plane.new_zeros(0)
