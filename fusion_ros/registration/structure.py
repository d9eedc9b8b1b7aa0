# SPDX-License-Identifier: Apache-2.0
"""Structure that a visible and a thermal image of one scene share: position and direction of edges.

An edge may be dark to bright in one and bright to dark in the other, so its direction counts only
modulo half a turn. With the gradient g = gx + i gy as a complex number, g * g has twice the angle
and is equal for both signs. Divided by |g|^2 + e^2 its length is 1 for any clear edge and 0 for
noise. The agreement of two such fields is the real part of z_a * conj(z_b) (the normalised gradient
fields of Haber and Modersitzki, with the angle doubled).
"""

from __future__ import annotations

import cv2
import numpy as np


def structure(image: np.ndarray) -> np.ndarray:
    """Return the edges of a grey image (HxW, `uint8` or float), `complex64` HxW, 0 <= |z| < 1."""
    smooth = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 1.0)
    gx = cv2.Scharr(smooth, cv2.CV_32F, 1, 0, scale=1 / 32)
    gy = cv2.Scharr(smooth, cv2.CV_32F, 0, 1, scale=1 / 32)
    strength = gx * gx + gy * gy
    # Most of an image is noise: its level is twice the median gradient, at least half a grey level.
    level = max(4.0 * array_median(strength), 0.25)
    weight = 1.0 / (strength + level)
    z = np.empty(image.shape, np.complex64)
    z.real = (gx * gx - gy * gy) * weight
    z.imag = 2 * gx * gy * weight
    return z


def array_median(values: np.ndarray) -> float:
    """Return the median of all values, at least one and no NaN.

    `np.median` imports `numpy.ma` on its first call, which takes 9 MB of the node's memory.
    """
    upper = values.size // 2
    lower = (values.size - 1) // 2
    ordered = np.partition(values, (lower, upper), axis=None)
    return float(ordered[lower : upper + 1].mean())


def peak_offset(line: np.ndarray, at: int) -> float:
    """Return the offset of a parabola's top from sample `at` of a line, in samples.

    The parabola passes through the sample, a local maximum, and its two neighbours. 0 at the ends.
    """
    if not 0 < at < line.size - 1:
        return 0.0
    before, middle, after = (float(v) for v in line[at - 1 : at + 2])
    bend = before - 2 * middle + after
    return 0.0 if bend >= -1e-12 else float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5))
