# SPDX-License-Identifier: Apache-2.0
"""Part of the thermal frame that determines the tone curve, for example without the sky."""

from __future__ import annotations

import cv2
import numpy as np


class Region:
    """A polygon, x, y, x, y, ... in shares of the frame's width and height; empty: all of it."""

    def __init__(self, shares: tuple[float, ...]) -> None:
        self._corners = np.array(shares, np.float64).reshape(-1, 2)
        self._mask: np.ndarray | None = None

    def mask(self, shape: tuple[int, ...]) -> np.ndarray | None:
        """Return the pixels inside, `uint8` HxW of 0 and 1; None for the whole frame."""
        if not len(self._corners):
            return None
        if self._mask is None or self._mask.shape != shape:
            height, width = shape
            corners = np.rint(self._corners * (width, height) - 0.5).astype(np.int32)
            self._mask = cv2.fillPoly(np.zeros(shape, np.uint8), [corners], 1)
        return self._mask


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
