# SPDX-License-Identifier: Apache-2.0
"""Blend the fused image into the visible one where the thermal image ends.

Detail fades over a short distance, brightness over a long one. A thermal image is often lighter or
darker as a whole than the visible one; over a short distance that would show as a box around the
thermal camera's view. (Burt and Adelson's multiresolution spline, 1983, in two bands.)
"""

from __future__ import annotations

import cv2
import numpy as np

WINDOW_MARGIN = 2
"""Reach of the mean in `LumaReplacer`."""
_LONG = 4.0
"""Ratio of the fading distances of brightness and detail."""
_HALVINGS = 3
"""Halvings of the image in which brightness is computed, in cells of eight pixels."""
_BRIGHTNESS_SHARE = 0.11
"""Share of the width that separates brightness from detail, such as a person in the street."""


def feathered(valid: np.ndarray, feather_px: float) -> np.ndarray:
    """Return weights of the thermal image, `float32` HxW in 0..1, of its valid area (bool HxW).

    They are zero outside and rise to one over `feather_px` pixels inside. The border of the visible
    image is no seam.
    """
    if feather_px <= 0 or valid.all() or not valid.any():
        return valid.astype(np.float32)
    inside_px = cv2.distanceTransform(valid.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.clip(inside_px / feather_px, 0.0, 1.0).astype(np.float32)


class SeamBlender:
    """Replaces the fused image by the visible one outside the valid thermal area (bool HxW).

    Not thread-safe: it keeps working memory for the next frame.
    """

    def __init__(self, valid: np.ndarray, feather_px: float) -> None:
        height, width = valid.shape
        self._size = (width, height)
        detail = feathered(valid, feather_px)
        # Outside this window every share is zero, and the result is the visible image.
        self._window = rows, columns = bounding_window(valid)
        self.window = (
            slice(max(0, rows.start - WINDOW_MARGIN), min(height, rows.stop + WINDOW_MARGIN)),
            slice(max(0, columns.start - WINDOW_MARGIN), min(width, columns.stop + WINDOW_MARGIN)),
        )
        """Rows and columns, with `WINDOW_MARGIN`, outside which the result is the visible image."""
        self._share = np.rint(255 * detail[self._window]).astype(np.uint8)
        brightness = feathered(valid, _LONG * feather_px)
        brightness = brightness**2 * (3 - 2 * brightness)  # smooth at both ends
        # The part of the brightness difference to remove before detail fades.
        early = 1 - np.divide(brightness, detail, out=np.zeros_like(detail), where=detail > 0)
        self._early = _small(early if feather_px > 0 else np.zeros_like(early))
        reach = max(1, round(_BRIGHTNESS_SHARE * self._early.shape[1]))
        self._blur = (reach, reach)
        self._difference: np.ndarray | None = None

    def __call__(self, fused: np.ndarray, visible: np.ndarray) -> np.ndarray:
        """Return a mixture of both images, `uint8` HxW or HxWx3."""
        share, early = self._share, self._early
        if fused.ndim == 3:
            share, early = cv2.merge([share] * 3), early[:, :, None]
        difference = cv2.blur(_small(fused).astype(np.float32) - _small(visible), self._blur)
        self._difference = cv2.resize(
            difference * early, self._size, dst=self._difference, interpolation=cv2.INTER_LINEAR
        )
        result, seen = visible.copy(), visible[self._window]
        fused = cv2.subtract(fused[self._window], self._difference[self._window], dtype=cv2.CV_8U)
        # Brighter and darker pixels separately in bytes: twice as fast as floating-point weights.
        brighter = cv2.multiply(cv2.subtract(fused, seen), share, scale=1 / 255)
        darker = cv2.multiply(cv2.subtract(seen, fused), share, scale=1 / 255)
        cv2.subtract(cv2.add(seen, brighter, dst=brighter), darker, dst=result[self._window])
        return result


def bounding_window(valid: np.ndarray) -> tuple[slice, slice]:
    """Return the rows and columns that hold all valid pixels; all of them if none is valid."""
    spans = [np.flatnonzero(valid.any(axis=axis)) for axis in (1, 0)]
    if not spans[0].size:
        return slice(0, valid.shape[0]), slice(0, valid.shape[1])
    rows, columns = (slice(int(span[0]), int(span[-1]) + 1) for span in spans)
    return rows, columns


def _small(image: np.ndarray) -> np.ndarray:
    """Return the means of cells; repeated halving is several times faster in OpenCV."""
    for _ in range(_HALVINGS):
        height, width = image.shape[:2]
        half = (max(1, width // 2), max(1, height // 2))
        image = cv2.resize(image, half, interpolation=cv2.INTER_AREA)
    return image
