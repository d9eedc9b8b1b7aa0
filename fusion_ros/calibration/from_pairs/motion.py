# SPDX-License-Identifier: Apache-2.0
"""Small corrections of a homography as parameters, for fits to parts of an image.

Eight numbers: shift (2), scale, rotation, stretch, shear, perspective (2), in units of half the
image width. The first four make a similarity, the first six an affine map. To first order, points
move in proportion to them.
"""

from __future__ import annotations

import numpy as np

SPREAD = np.array([np.inf, np.inf, np.inf, np.inf, 0.01, 0.005, 0.008, 0.008])
"""Standard deviation of each parameter over rigs: unlimited for shift, scale and rotation, small
for stretch, shear and perspective. The cameras look in the same direction within a degree or so,
and their pixels are nearly square."""


def correction(parameters: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the 3x3 matrix of 4, 6 or 8 parameters for an image of this size (width, height)."""
    width, height = size
    tx, ty, scale, turn, stretch, shear, px, py = np.pad(parameters, (0, 8 - len(parameters)))
    matrix = np.array(
        [[1 + scale + stretch, shear - turn, tx], [turn + shear, 1 + scale - stretch, ty],
         [px, py, 1.0]]
    )  # fmt: skip
    to_pixels = np.array(
        [[width / 2, 0, (width - 1) / 2], [0, width / 2, (height - 1) / 2], [0, 0, 1]]
    )
    found = to_pixels @ matrix @ np.linalg.inv(to_pixels)
    return found / found[2, 2]


def motions_px(points: np.ndarray, size: tuple[int, int], freedom: int) -> np.ndarray:
    """Return the motion in pixels of points (N x 2) per unit of each parameter, N x 2 x freedom."""
    half = size[0] / 2
    x, y = ((points - [(size[0] - 1) / 2, (size[1] - 1) / 2]) / half).T
    one, none = np.ones_like(x), np.zeros_like(x)
    right = [one, none, x, -y, x, y, -x * x, -x * y]
    down = [none, one, y, x, -y, x, -x * y, -y * y]
    motions = np.stack((np.stack(right, 1), np.stack(down, 1)), 1)
    return motions[:, :, :freedom] * half
