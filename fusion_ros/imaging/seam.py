# SPDX-License-Identifier: Apache-2.0
"""Where the thermal picture ends, the visible one goes on alone, without an edge that shows.

Detail fades over a short way. Brightness fades over a long one: a thermal picture is often lighter
or darker as a whole than the visible one, and over a short way that shows as a box around all that
the thermal camera sees. (Burt and Adelson's multiresolution spline, 1983, in two bands.)
"""

from __future__ import annotations

import cv2
import numpy as np

_LONG = 4.0
"""Brightness fades over so many times the way of detail."""
_CELL_PX = 8
"""What brightness is, is looked at in cells of so many pixels."""
_BRIGHTNESS_SHARE = 0.11
"""Of the width: what is smaller counts as detail, a person in the street for instance."""


def feathered(valid: np.ndarray, feather_px: float) -> np.ndarray | None:
    """Weights of the thermal picture, `float32` HxW in 0..1, from where it is valid (bool HxW).

    Zero outside, rising to one over `feather_px` pixels inside. The picture's own border is no
    seam. None where everything is valid.
    """
    if valid.all():
        return None
    if feather_px <= 0 or not valid.any():
        return valid.astype(np.float32)
    inside_px = cv2.distanceTransform(valid.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.clip(inside_px / feather_px, 0.0, 1.0).astype(np.float32)


class SeamBlender:
    """Puts the visible picture where the thermal one is not valid (bool HxW, not all of it)."""

    def __init__(self, valid: np.ndarray, feather_px: float) -> None:
        height, width = valid.shape
        self._size = (width, height)
        self._detail = feathered(valid, feather_px)
        self._visible = 1.0 - self._detail
        brightness = feathered(valid, _LONG * feather_px)
        brightness = (
            brightness * brightness * (3 - 2 * brightness)
        )  # without a crease at either end
        self._cells = (max(1, width // _CELL_PX), max(1, height // _CELL_PX))
        self._excess = self._detail - brightness
        reach = max(1, round(_BRIGHTNESS_SHARE * self._cells[0]))
        self._blur = (reach, reach)

    def __call__(self, fused: np.ndarray, visible: np.ndarray) -> np.ndarray:
        """A mixture of both, `uint8` HxW or HxWx3."""
        mixed = cv2.blendLinear(fused, visible, self._detail, self._visible)
        # In that, brightness has faded as quickly as detail: what is too much of it goes.
        lighter = _small(fused, self._cells).astype(np.float32) - _small(visible, self._cells)
        lighter = cv2.blur(lighter, self._blur)
        lighter = cv2.resize(lighter, self._size, interpolation=cv2.INTER_LINEAR)
        lighter *= self._excess if fused.ndim == 2 else self._excess[:, :, None]
        return cv2.subtract(mixed, lighter, dst=mixed, dtype=cv2.CV_8U)


def _small(picture: np.ndarray, cells: tuple[int, int]) -> np.ndarray:
    return cv2.resize(picture, cells, interpolation=cv2.INTER_AREA)
