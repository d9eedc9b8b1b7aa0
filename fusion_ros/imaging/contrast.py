# SPDX-License-Identifier: Apache-2.0
"""Contrast of a single grey image of any type, for edge search and for viewing."""

from __future__ import annotations

import cv2
import numpy as np


def stretched(
    image: np.ndarray, low_percent: float = 0.5, high_percent: float = 99.5, *, stride: int = 1
) -> np.ndarray:
    """Return a grey image (HxW, any type) as `uint8`, linear between two of its percentiles.

    NaN and infinity count as cold, as in tone mapping. The percentiles are those of every
    `stride`-th pixel of every `stride`-th row.
    """
    if image.dtype.kind == "f" and not (finite := np.isfinite(image)).all():
        image = np.where(finite, image, image[finite].min() if finite.any() else 0)
    low, high = np.percentile(image[::stride, ::stride], [low_percent, high_percent])
    gain = 255 / max(float(high - low), 1e-6)
    return np.clip((image.astype(np.float32) - low) * gain, 0, 255).astype(np.uint8)


def equalised(image: np.ndarray) -> np.ndarray:
    """Return a grey image (HxW, any type) with equal local contrast everywhere, `uint8`."""
    return cv2.createCLAHE(3.0, (8, 8)).apply(stretched(image))
