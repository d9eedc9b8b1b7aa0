# SPDX-License-Identifier: Apache-2.0
"""From a first guess to a homography: small shifts of many blocks, and what they agree on.

At each of several sizes the thermal pictures are warped by what is known so far; each block of the
visible grid then says by which small shift its structure fits best, added up over all pairs. A
homography is fitted to these shifts so that blocks that disagree with most others (parallax, things
that only one camera sees) lose their say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from fusion_ros.imaging.structure import structure

_CELLS_ACROSS = 12  # a block is 3 x 3 cells, so blocks overlap
_SMALLEST_CORRECTION_PX = 0.02
_STIFFNESS = (1e-4, 1e-4, 1e-4, 1e-4, 1e-3, 1e-3, 3e-3, 3e-3)
"""How strongly shift, scale and turn, stretch and shear, and perspective are held towards none,
as a share of all weight: lenses and mounts bend pictures by a hundredth or so."""


@dataclass(frozen=True, eq=False)
class BlockShifts:
    """What the blocks said. Pixels are those of the visible grid at the size looked at."""

    centres: np.ndarray
    """Nx2, where the blocks are."""
    shifts: np.ndarray
    """Nx2, how far the warped thermal picture lies off there."""
    weights: np.ndarray
    """N, how clear each block is, 0..1."""


@dataclass(frozen=True, eq=False)
class Fit:
    """A homography fitted to block shifts."""

    correction: np.ndarray
    """3x3, takes where the thermal picture lies to where it should lie."""
    residual_px: float
    """Weighted median distance of the blocks from the fit."""
    agreeing: float
    """Share of the blocks' weight that lies near the fit: two pixels at 320 wide."""
    weight: float
    """Sum of the weights: how many clear blocks there were."""
    corner_error_px: float
    """Expected error at the picture's corners, from the spread of the blocks: their root mean
    square of one standard deviation."""
    parameters: np.ndarray
    """What the correction is made of, see `_basis`."""


def block_shifts(
    visible: Sequence[np.ndarray],
    thermal: Sequence[np.ndarray],
    matrix: np.ndarray,
    reach: int,
) -> BlockShifts:
    """Best shift of each block, up to `reach` pixels either way, summed over the pairs.

    `visible` holds structures (`complex64` HxW), `thermal` pictures of the same size, `matrix`
    takes thermal pixels to visible ones.
    """
    height, width = visible[0].shape
    cells = (_CELLS_ACROSS, max(3, round(_CELLS_ACROSS * height / width)))
    side = 2 * reach + 1
    cross = np.zeros((side, side, cells[1], cells[0]), np.float32)
    e_visible = np.zeros((cells[1], cells[0]), np.float32)
    e_thermal = np.zeros_like(e_visible)
    inside = cv2.warpPerspective(np.ones((height, width), np.float32), matrix, (width, height))
    inside = cv2.erode(
        (inside > 0.99).astype(np.uint8), np.ones((7, 7)), borderValue=0, borderType=0
    ).astype(np.float32)
    for seen, picture in zip(visible, thermal, strict=True):
        moved = cv2.warpPerspective(
            picture, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE
        )
        z = structure(moved) * inside
        e_visible += _cells(np.abs(seen) ** 2 * inside, cells)
        e_thermal += _cells(np.abs(z) ** 2, cells)
        padded = cv2.copyMakeBorder(
            z.view(np.float32).reshape(height, width, 2), *(reach,) * 4, cv2.BORDER_CONSTANT
        )
        real, imaginary = (np.ascontiguousarray(p) for p in (seen.real, seen.imag))
        p_real, p_imaginary = (np.ascontiguousarray(padded[:, :, c]) for c in (0, 1))
        for dy in range(side):
            for dx in range(side):
                window = np.s_[dy : dy + height, dx : dx + width]
                product = cv2.multiply(real, p_real[window])
                product += imaginary * p_imaginary[window]
                cross[dy, dx] += _cells(product, cells)
    blocks = cv2.blur(cross.reshape(side * side, cells[1], cells[0]).transpose(1, 2, 0), (3, 3))
    energy = np.sqrt(cv2.blur(e_visible, (3, 3)) * cv2.blur(e_thermal, (3, 3)))
    surfaces = blocks / np.maximum(energy, 1e-3 * max(float(energy.max()), 1e-9))[:, :, None]
    return _peaks(surfaces.reshape(cells[1], cells[0], side, side), energy, (width, height), reach)


def _cells(values: np.ndarray, cells: tuple[int, int]) -> np.ndarray:
    return cv2.resize(values, cells, interpolation=cv2.INTER_AREA)


def _peaks(
    surfaces: np.ndarray, energy: np.ndarray, size: tuple[int, int], reach: int
) -> BlockShifts:
    rows, columns, side, _ = surfaces.shape
    centres, shifts, weights = [], [], []
    for row in range(rows):
        for column in range(columns):
            surface = surfaces[row, column]
            y, x = np.unravel_index(int(surface.argmax()), surface.shape)
            if not (0 < y < side - 1 and 0 < x < side - 1):
                continue
            sub_x = _vertex(surface[y, x - 1 : x + 2])
            sub_y = _vertex(surface[y - 1 : y + 2, x])
            typical = float(np.median(surface))
            spread = 1.4826 * float(np.median(np.abs(surface - typical))) + 1e-6
            clear = (float(surface[y, x]) - typical) / spread
            # The padded thermal structure at offset d is what lies d - reach further on, so a best
            # offset right of the middle means that the thermal picture lies too far right.
            shifts.append((x + sub_x - reach, y + sub_y - reach))
            centres.append(
                ((column + 0.5) * size[0] / columns - 0.5, (row + 0.5) * size[1] / rows - 0.5)
            )
            presence = float(energy[row, column]) / max(float(np.median(energy)), 1e-9)
            weights.append(np.clip((clear - 1) / 4, 0, 1) * min(presence, 1.0))
    return BlockShifts(np.reshape(centres, (-1, 2)), np.reshape(shifts, (-1, 2)), np.array(weights))


def _vertex(three: np.ndarray) -> float:
    """Where the parabola through three equidistant values has its top, from the middle one."""
    before, middle, after = (float(v) for v in three)
    bend = before - 2 * middle + after
    return 0.0 if bend >= -1e-12 else float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5))


def fit(
    found: BlockShifts,
    size: tuple[int, int],
    freedom: int,
    scale_px: float,
    before: np.ndarray | None = None,
) -> Fit | None:
    """The correction that most blocks agree on, with 4 (similarity), 6 (affine) or 8 degrees.

    The higher degrees are held towards none unless the blocks insist; `before` holds what earlier
    rounds found of each, so that many rounds do not add up to what one would not allow. None if
    there are too few clear blocks.
    """
    if float(found.weights.sum()) < 3:
        return None
    half = size[0] / 2
    middle = np.array([(size[0] - 1) / 2, (size[1] - 1) / 2])
    at = (found.centres - middle) / half
    basis_x, basis_y = _basis(at, freedom)
    wanted = -found.shifts / half
    weights, sure = found.weights.copy(), None
    before = np.zeros(freedom) if before is None else before
    reach = 4.0 * scale_px / half
    stiffness = np.array(_STIFFNESS[:freedom])
    for _ in range(15):
        normal = (basis_x.T * weights) @ basis_x + (basis_y.T * weights) @ basis_y
        right = (basis_x.T * weights) @ wanted[:, 0] + (basis_y.T * weights) @ wanted[:, 1]
        hold = stiffness * weights.sum()
        sure = normal + np.diag(hold)
        parameters = np.linalg.solve(sure, right - hold * before)
        off = np.hypot(wanted[:, 0] - basis_x @ parameters, wanted[:, 1] - basis_y @ parameters)
        weights = found.weights / (1 + (off / reach) ** 2) ** 2
        reach = max(reach * 0.8, scale_px / half)
    off_px = off * half
    order = np.argsort(off_px)
    share = np.cumsum(found.weights[order]) / found.weights.sum()
    residual = float(off_px[order][np.searchsorted(share, 0.5)])
    # Blocks overlap three ways each way: a ninth of them is independent. Two coordinates each.
    variance = float((weights * off**2).sum() / weights.sum()) / 2 * 9
    covariance = np.linalg.inv(sure) * variance
    corner = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [1, size[1] / size[0]]
    corner_x, corner_y = _basis(corner, freedom)
    spread = np.einsum("ni,ij,nj->n", corner_x, covariance, corner_x)
    spread = spread + np.einsum("ni,ij,nj->n", corner_y, covariance, corner_y)
    to_pixels = np.array([[half, 0, middle[0]], [0, half, middle[1]], [0, 0, 1]])
    correction = to_pixels @ _as_matrix(parameters) @ np.linalg.inv(to_pixels)
    return Fit(
        correction / correction[2, 2],
        residual,
        float(found.weights[off_px < 2.0 * size[0] / 320].sum() / found.weights.sum()),
        float(found.weights.sum()),
        float(np.sqrt(spread.mean()) * half),
        parameters,
    )


def _basis(at: np.ndarray, freedom: int) -> tuple[np.ndarray, np.ndarray]:
    """First-order motions of a homography: shifts, scale, turn, two shears, two perspectives."""
    x, y = at[:, 0], at[:, 1]
    one, none = np.ones_like(x), np.zeros_like(x)
    right = [one, none, x, -y, x, y, -x * x, -x * y]
    down = [none, one, y, x, -y, x, -x * y, -y * y]
    return np.stack(right[:freedom], 1), np.stack(down[:freedom], 1)


def _as_matrix(parameters: np.ndarray) -> np.ndarray:
    tx, ty, scale, turn, stretch, shear, px, py = [*parameters, *[0.0] * (8 - len(parameters))]
    return np.array(
        [[1 + scale + stretch, shear - turn, tx], [turn + shear, 1 + scale - stretch, ty],
         [px, py, 1.0]]
    )  # fmt: skip


def refine(
    visible: Sequence[np.ndarray],
    thermal: Sequence[np.ndarray],
    matrix: np.ndarray,
    *,
    reach: int,
    freedom: int,
    rounds: int,
) -> tuple[np.ndarray, Fit | None]:
    """Correct `matrix` (thermal to visible pixels, both of this size) up to `rounds` times.

    `visible` and `thermal` are pictures (`float32` HxW). The last fit tells how far to trust it.
    """
    height, width = visible[0].shape
    seen = [structure(v) for v in visible]
    last, before = None, np.zeros(freedom)
    for round_ in range(rounds):
        found = block_shifts(seen, thermal, matrix, reach)
        last = fit(found, (width, height), freedom, 1.0 if round_ else 1.5, before)
        if last is None:
            return matrix, None
        before = before + last.parameters
        matrix = last.correction @ matrix
        matrix = matrix / matrix[2, 2]
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
        moved = cv2.perspectiveTransform(corners[None], last.correction)[0]
        if np.abs(moved - corners).max() < _SMALLEST_CORRECTION_PX * width / 320:
            break
    return matrix, last
