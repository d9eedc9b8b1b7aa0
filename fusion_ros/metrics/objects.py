# SPDX-License-Identifier: Apache-2.0
"""Contrast of labelled objects against their surroundings."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from fusion_ros.metrics.checks import check_luma

#: Least spread of the surroundings: one grey level.
LEAST_SPREAD = 1 / 255
LEAST_PIXELS = 16


def object_contrast(image: Tensor, boxes: Sequence[tuple[float, float, float, float]]) -> Tensor:
    """Return the contrast of each box in units of the spread of its surroundings.

        (mean of the box - mean of the surroundings) / standard deviation of the surroundings

    The surroundings are the box enlarged to twice its width and height around its centre, without
    the box. A bright person before an even background has a high value. The value of a person
    before busy surroundings is near 0, and that of a darker one below 0. The spread is at least
    `LEAST_SPREAD`.

    Args:
        image: H, W luma in [0, 1], floating point.
        boxes: K boxes (left, top, right, bottom) in pixels.

    Returns:
        K values; NaN for a box or surroundings with fewer than `LEAST_PIXELS` pixels in the image,
        and for a box that is not finite.

    Raises:
        TypeError: the image is not floating point.
        ValueError: it is not two-dimensional.
    """
    check_luma(image=image)
    height, width = image.shape
    values = torch.full((len(boxes),), torch.nan, dtype=image.dtype, device=image.device)
    for place, (left, top, right, bottom) in enumerate(boxes):
        x, y = (right - left) / 2, (bottom - top) / 2
        if not math.isfinite(sum(map(abs, (left - x, right + x, top - y, bottom + y)))):
            continue
        outside = torch.zeros(height, width, dtype=torch.bool, device=image.device)
        outside[_slices((left - x, top - y, right + x, bottom + y), width, height)] = True
        inside = _slices((left, top, right, bottom), width, height)
        outside[inside] = False
        around = image[outside]
        if min(image[inside].numel(), around.numel()) >= LEAST_PIXELS:
            spread = around.std(correction=0).clamp_min(LEAST_SPREAD)
            values[place] = (image[inside].mean() - around.mean()) / spread
    return values


def _slices(box: tuple[float, float, float, float], width: int, height: int) -> tuple[slice, slice]:
    """Return the rows and columns of a box, cut at the borders of the image."""
    left, top, right, bottom = (round(side) for side in box)
    return slice(max(top, 0), min(max(bottom, 0), height)), slice(
        max(left, 0), min(max(right, 0), width)
    )
