# SPDX-License-Identifier: Apache-2.0
"""How far labelled objects stand out from what surrounds them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fusion_ros.metrics.checks import check_images

MARGIN = 0.5
"""Width of the surroundings, as a share of a box's longer side."""
LEAST_MARGIN = 8


def object_contrast(image: Tensor, boxes: Sequence[tuple[float, float, float, float]]) -> Tensor:
    """Contrast of each box against the spread of its surroundings.

        |mean inside - mean of the surroundings| / standard deviation of the surroundings

    The surroundings are a frame around the box, `MARGIN` of its longer side wide and at least
    `LEAST_MARGIN` pixels, without the other boxes. A bright person on a plain street has a high
    value, the same person before bright clutter a low one.

    Args:
        image: 1, 1, H, W in [0, 1].
        boxes: x1, y1, x2, y2 in pixels; whole pixels that a box touches are inside.

    Returns:
        One value >= 0 a box; a spread under half a grey level counts as that. NaN for a box that
        lies outside the image or has no surroundings.
    """
    check_images(image=image)
    if image.shape[:2] != (1, 1):
        raise ValueError(f"image has shape {tuple(image.shape)}; allowed is 1, 1, H, W")
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
