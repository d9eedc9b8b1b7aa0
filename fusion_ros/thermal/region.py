# SPDX-License-Identifier: Apache-2.0
"""Part of the thermal frame that determines the tone curve, for example without the sky."""

from __future__ import annotations

import functools

import cv2
import numpy as np


@functools.lru_cache(maxsize=4)
def region_mask(shares: tuple[float, ...], shape: tuple[int, ...]) -> np.ndarray | None:
    """Return the pixels inside a polygon, `uint8` HxW of 0 and 1; None for an empty polygon.

    Args:
        shares: x, y, x, y, ... of its corners in shares of the frame's width and height.
        shape: height and width of the frame.
    """
    if not shares:
        return None
    height, width = shape
    corners = np.array(shares, np.float64).reshape(-1, 2) * (width, height) - 0.5
    return cv2.fillPoly(np.zeros(shape, np.uint8), [np.rint(corners).astype(np.int32)], 1)


def sampled(thermal: np.ndarray, pixels: int, mask: np.ndarray | None) -> np.ndarray:
    """Return about `pixels` values on a grid over the frame, of those only the ones in the mask."""
    step = max(1, round((thermal.size / pixels) ** 0.5))
    # A frame of a single row or column may be narrower than half a step.
    grid = tuple(slice(min(step, side) // 2, None, step) for side in thermal.shape)
    inside = None if mask is None else mask[grid] > 0
    # A narrow region may lie between the points of the grid.
    return (
        thermal[grid].reshape(-1) if inside is None or not inside.any() else thermal[grid][inside]
    )
