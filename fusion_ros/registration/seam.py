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
_HALVINGS = 3
_CELL_PX = 2**_HALVINGS
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
    """Puts the visible picture where the thermal one is not valid (bool HxW, not all of it).

    Not thread-safe: what a frame needs on the way is kept for the next one.
    """

    def __init__(self, valid: np.ndarray, feather_px: float) -> None:
        height, width = valid.shape
        self._size = (width, height)
        detail = feathered(valid, feather_px)
        self._share = np.rint(255 * detail).astype(np.uint8)
        brightness = feathered(valid, _LONG * feather_px)
        brightness = (
            brightness * brightness * (3 - 2 * brightness)
        )  # without a crease at either end
        # Of the brightness that would fade with detail, what has to go before that.
        early = 1 - np.divide(brightness, detail, out=np.zeros_like(detail), where=detail > 0)
        self._early = _small(early if feather_px > 0 else np.zeros_like(early))
        reach = max(1, round(_BRIGHTNESS_SHARE * self._early.shape[1]))
        self._blur = (reach, reach)
        self._lighter: np.ndarray | None = None

    def __call__(self, fused: np.ndarray, visible: np.ndarray) -> np.ndarray:
        """A mixture of both, `uint8` HxW or HxWx3."""
        share, early = self._share, self._early
        if fused.ndim == 3:
            share, early = cv2.merge([share] * 3), early[:, :, None]
        lighter = cv2.blur(_small(fused).astype(np.float32) - _small(visible), self._blur)
        self._lighter = cv2.resize(
            lighter * early, self._size, dst=self._lighter, interpolation=cv2.INTER_LINEAR
        )
        fused = cv2.subtract(fused, self._lighter, dtype=cv2.CV_8U)
        # Byte by byte, brighter and darker apart: twice as quick as with floating-point weights.
        brighter = cv2.multiply(cv2.subtract(fused, visible), share, scale=1 / 255)
        darker = cv2.multiply(cv2.subtract(visible, fused), share, scale=1 / 255)
        return cv2.subtract(cv2.add(visible, brighter, dst=brighter), darker, dst=brighter)


def _small(picture: np.ndarray) -> np.ndarray:
    """Means of cells of `_CELL_PX` pixels: by halves, which OpenCV is several times quicker at."""
    for _ in range(_HALVINGS):
        height, width = picture.shape[:2]
        half = (max(1, width // 2), max(1, height // 2))
        picture = cv2.resize(picture, half, interpolation=cv2.INTER_AREA)
    return picture
