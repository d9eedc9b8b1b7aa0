# SPDX-License-Identifier: Apache-2.0
"""How the pairs of a data set really lie on each other, by a measure that ours knows nothing of.

Public pairs are aligned by hand or by somebody's software, and not to the pixel. What `calibrate
--from-pairs` is asked for is a known warp on top of that, so that has to be measured, too, and not
with the method under test. Here: mutual information of the greys (edges play no part), in
overlapping blocks of a fifth of the width, for all shifts up to 12 pixels at 640 wide, over all
pairs of a rig. A homography through the blocks' best shifts is the rig's own.

It is told how far to trust it: the same from every other pair against the same from the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from fusion_ros.calibration.refine import BlockShifts, fit

_GREYS = 16
_CELLS = (8, 6)  # a block is 2 x 2 of them
_REACHES = (12, 6, 6)
_CLEAR, _CLEAREST = 1.0, 4.0
Pairs = list[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Reference:
    """Thermal to visible pixels of a rig as it is, and how sure that is."""

    matrix: np.ndarray
    halves_differ_px: float
    """Mean distance of the corners by either half of the pairs, at 640 wide."""
    clear_blocks: float

    @property
    def is_sure(self) -> bool:
        """Whether an error of another method can be told from an error of this one."""
        return self.halves_differ_px <= 2.0 and self.clear_blocks >= 4.0


def reference(pairs: Pairs) -> Reference:
    """By all pairs (`uint8` HxW, visible and thermal of one size), and by each half of them."""
    whole, clear = _homography(pairs)
    one, other = (_homography(pairs[n::2])[0] for n in (0, 1))
    height, width = pairs[0][0].shape
    return Reference(whole, corner_error_px(one, other, width, height), clear)


def corner_error_px(found: np.ndarray, right: np.ndarray, width: int, height: int) -> float:
    """Mean distance of the four corners under two homographies, scaled to 640 wide."""
    corners = np.array([[[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1.0]]])
    a, b = (cv2.perspectiveTransform(corners, m)[0] for m in (found, right))
    return float(np.linalg.norm(a - b, axis=1).mean() * 640 / width)


def _homography(pairs: Pairs) -> tuple[np.ndarray, float]:
    height, width = pairs[0][0].shape
    matrix, clear = np.eye(3), 0.0
    for reach in _REACHES:
        moved = [
            (v, cv2.warpPerspective(t, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE))
            for v, t in pairs
        ]
        found = _block_shifts(moved, max(4, round(reach * width / 640)))
        fitted = fit(found, (width, height), 8, 2 * width / 640)
        if fitted is None:
            return matrix, 0.0
        matrix = fitted.correction @ matrix
        clear = fitted.weight
    return matrix / matrix[2, 2], clear


def _block_shifts(pairs: Pairs, reach: int) -> BlockShifts:
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
    centres, shifts, weights = [], [], []
    for row in range(rows - 1):
        for column in range(columns - 1):
            block = joint[:, :, row : row + 2, column : column + 2].sum((2, 3))
            information = _mutual_information(block)
            y, x = np.unravel_index(int(information.argmax()), information.shape)
            if not (0 < y < side - 1 and 0 < x < side - 1):
                continue
            typical = np.median(information)
            spread = 1.4826 * np.median(np.abs(information - typical)) + 1e-9
            clear = (information[y, x] - typical) / spread
            shifts.append(
                (x + _top(information[y, x - 1 : x + 2]) - reach,
                 y + _top(information[y - 1 : y + 2, x]) - reach)
            )  # fmt: skip
            centres.append(((column + 1) * cell_width - 0.5, (row + 1) * cell_height - 0.5))
            weights.append(np.clip((clear - _CLEAR) / (_CLEAREST - _CLEAR), 0, 1))
    return BlockShifts(np.reshape(centres, (-1, 2)), np.reshape(shifts, (-1, 2)), np.array(weights))


def _ranks(picture: np.ndarray) -> np.ndarray:
    """Greys as equally frequent classes."""
    share = np.cumsum(np.bincount(picture.ravel(), minlength=256)) / picture.size
    return np.minimum((share * _GREYS).astype(np.int64), _GREYS - 1)[picture]


def _mutual_information(joint: np.ndarray) -> np.ndarray:
    share = joint / joint.sum((-1, -2), keepdims=True)
    apart = share.sum(-1, keepdims=True) * share.sum(-2, keepdims=True)
    ratio = np.maximum(share, 1e-12) / np.maximum(apart, 1e-12)
    return np.where(share > 0, share * np.log(ratio), 0).sum((-1, -2))


def _top(three: np.ndarray) -> float:
    bend = three[0] - 2 * three[1] + three[2]
    return 0.0 if bend >= 0 else float(0.5 * (three[0] - three[2]) / bend)
