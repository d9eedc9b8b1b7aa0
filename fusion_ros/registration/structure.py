# SPDX-License-Identifier: Apache-2.0
"""What a visible and a thermal picture of one scene share: where edges are, and how they lie.

An edge may be dark to bright in one and bright to dark in the other, so its direction counts only
modulo half a turn. With the gradient g = gx + i gy as a complex number, g * g turns twice as fast
and is the same for both signs; divided by |g|^2 + e^2 it says 1 for any clear edge and 0 for noise.
Two such fields agree as far as the real part of z_a * conj(z_b) is large (the normalised gradient
fields of Haber and Modersitzki, with the angle doubled).
"""

from __future__ import annotations

import cv2
import numpy as np


def structure(picture: np.ndarray, blur_px: float = 1.0) -> np.ndarray:
    """The edges of a grey picture (HxW, `uint8` or float), `complex64` HxW, 0 <= |z| < 1."""
    smooth = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), blur_px)
    gx = cv2.Scharr(smooth, cv2.CV_32F, 1, 0, scale=1 / 32)
    gy = cv2.Scharr(smooth, cv2.CV_32F, 0, 1, scale=1 / 32)
    strength = gx * gx + gy * gy
    # Noise is what most of the picture is: twice the median gradient, and at least half a grey.
    level = max(4.0 * float(np.median(strength)), 0.25)
    weight = 1.0 / (strength + level)
    z = np.empty(picture.shape, np.complex64)
    z.real = (gx * gx - gy * gy) * weight
    z.imag = 2 * gx * gy * weight
    return z


def agreement(a: np.ndarray, b: np.ndarray, where: np.ndarray | None = None) -> float:
    """How well two structures agree, -1..1: their normalised correlation (0 where one is empty)."""
    if where is not None:
        a, b = a[where], b[where]
    energy = float(np.sqrt(np.vdot(a, a).real * np.vdot(b, b).real))
    return float(np.vdot(a, b).real) / energy if energy > 0 else 0.0


def equalised(picture: np.ndarray) -> np.ndarray:
    """A grey picture (any type) with local contrast evened out, `float32`, for edge search.

    What is no number counts as cold, as in tone mapping.
    """
    if picture.dtype.kind == "f" and not (there := np.isfinite(picture)).all():
        picture = np.where(there, picture, picture[there].min() if there.any() else 0)
    low, high = np.percentile(picture, [0.5, 99.5])
    scaled = np.clip((picture.astype(np.float32) - low) * (255 / max(high - low, 1e-6)), 0, 255)
    return cv2.createCLAHE(3.0, (8, 8)).apply(scaled.astype(np.uint8)).astype(np.float32)
