# SPDX-License-Identifier: Apache-2.0
"""How the pairs of a data set really lie on each other, by a measure that ours knows nothing of.

Public pairs are aligned by hand or by somebody's software, and not to the pixel. What `calibrate
--from-pairs` is asked for is a known warp on top of that, so that has to be measured, too, and not
with the measure under test. Here: mutual information of the greys (edges play no part), in
overlapping blocks of a quarter of the width, for all shifts up to 12 pixels at 640 wide, over all
pairs of a rig. How a homography is climbed to from such surfaces is the same code as in the tool.

It is told how far to trust it: the same from every other pair against the same from the rest, and
how much the blocks pull against each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from fusion_ros.calibration.joint_fit import ShiftSurfaces, fit

_GREYS = 16
_CELLS = (8, 6)  # a block is 2 x 2 of them
_ROUNDS = ((12, 4, 0.0), (6, 8, 0.1), (6, 8, 1.0))
"""Largest shift at 640 wide, degrees of freedom, how strongly the higher ones are held."""
Pairs = list[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Reference:
    """Thermal to visible pixels of a rig as it is, and how sure that is."""

    matrix: np.ndarray
    halves_differ_px: float
    """Mean distance of the corners by either half of the pairs, at 640 wide."""
    expected_corner_error_px: float
    """One deviation, from how much the blocks pull against each other, at 640 wide."""

    @property
    def is_sure(self) -> bool:
        """Whether an error of another method can be told from an error of this one."""
        return self.halves_differ_px <= 2.0 and self.expected_corner_error_px <= 2.0


def reference(pairs: Pairs) -> Reference:
    """By all pairs (`uint8` HxW, visible and thermal of one size), and by each half of them."""
    whole, error = _homography(pairs)
    one, other = (_homography(pairs[n::2])[0] for n in (0, 1))
    height, width = pairs[0][0].shape
    return Reference(whole, corner_error_px(one, other, width, height), error)


def corner_error_px(found: np.ndarray, right: np.ndarray, width: int, height: int) -> float:
    """Mean distance of the four corners under two homographies, scaled to 640 wide."""
    corners = np.array([[[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1.0]]])
    a, b = (cv2.perspectiveTransform(corners, m)[0] for m in (found, right))
    return float(np.linalg.norm(a - b, axis=1).mean() * 640 / width)


def _homography(pairs: Pairs) -> tuple[np.ndarray, float]:
    height, width = pairs[0][0].shape
    matrix, error, bent = np.eye(3), float("inf"), np.zeros(0)
    for reach, freedom, hold in _ROUNDS:
        moved = [
            (v, cv2.warpPerspective(t, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE))
            for v, t in pairs
        ]
        bent = np.pad(bent, (0, freedom - bent.size))
        found = fit(_information(moved, max(4, round(reach * width / 640))), freedom, bent, hold)
        if found is None:
            return matrix, float("inf")
        matrix, bent = found.correction @ matrix, bent + found.parameters
        error = found.corner_error_px * 640 / width
    return matrix / matrix[2, 2], error


def _information(pairs: Pairs, reach: int) -> ShiftSurfaces:
    height, width = pairs[0][0].shape
    columns, rows = _CELLS
    cell_width, cell_height = width // columns, height // rows
    across = np.minimum(np.arange(width) // cell_width, columns - 1)
    down = np.minimum(np.arange(height) // cell_height, rows - 1)
    cells = (down[:, None] * columns + across) * _GREYS**2
    side = 2 * reach + 1
    joint = np.zeros((side, side, columns * rows, _GREYS**2))
    inner = np.s_[reach : height - reach, reach : width - reach]
    for visible, thermal in pairs:
        seen, felt = (cells + _ranks(visible) * _GREYS)[inner], _ranks(thermal)
        for dy in range(side):
            for dx in range(side):
                window = felt[dy : dy + height - 2 * reach, dx : dx + width - 2 * reach]
                counts = np.bincount((seen + window).ravel(), minlength=joint[0, 0].size)
                joint[dy, dx] += counts.reshape(joint[0, 0].shape)
    joint = joint.reshape(side, side, rows, columns, _GREYS, _GREYS)
    values = np.empty((rows - 1, columns - 1, side, side))
    for row, column in np.ndindex(rows - 1, columns - 1):
        block = joint[:, :, row : row + 2, column : column + 2].sum((2, 3))
        values[row, column] = _mutual_information(block)
    x, y = np.arange(1, columns) * cell_width - 0.5, np.arange(1, rows) * cell_height - 0.5
    return ShiftSurfaces(values, np.stack(np.meshgrid(x, y), -1), (width, height))


def _ranks(picture: np.ndarray) -> np.ndarray:
    """Greys as equally frequent classes."""
    share = np.cumsum(np.bincount(picture.ravel(), minlength=256)) / picture.size
    return np.minimum((share * _GREYS).astype(np.int64), _GREYS - 1)[picture]


def _mutual_information(joint: np.ndarray) -> np.ndarray:
    share = joint / joint.sum((-1, -2), keepdims=True)
    apart = share.sum(-1, keepdims=True) * share.sum(-2, keepdims=True)
    ratio = np.maximum(share, 1e-12) / np.maximum(apart, 1e-12)
    return np.where(share > 0, share * np.log(ratio), 0).sum((-1, -2))
