# SPDX-License-Identifier: Apache-2.0
"""Refine a first guess to a homography with the small shifts of many cells.

The thermal images are warped with the current homography. For each cell of the visible grid and
each small shift, the agreement of the structures is added over all pairs. `joint_fit` finds the
homography that fits all cells best. Blocks of three by three cells are large enough to have a best
shift of their own. Its clarity is the weight of the middle cell. At the end `robust_fit` fits a
homography to these shifts, and the share of blocks near it is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from fusion_ros.calibration.from_pairs.joint_fit import (
    JointFit,
    ShiftSurfaces,
    correction,
    fit,
    motions_px,
    robust_fit,
)
from fusion_ros.registration.structure import peak_offset, structure

_CELLS_ACROSS = 12
_BLOCK = (3, 3)
_SMALLEST_CORRECTION_PX = 0.02


@dataclass(frozen=True, eq=False)
class BlockShifts:
    """Best shift of the block around each cell, rows x columns."""

    shifts_px: np.ndarray
    """Rows x columns x 2: misalignment of the thermal image, x, y."""
    clarity: np.ndarray
    """0..1, height of the best shift above the others; 0 at the largest shift."""
    presence: np.ndarray
    """0..1, amount of structure relative to the median of the image."""

    @property
    def weights(self) -> np.ndarray:
        """Return the weight of each block's shift, 0..1, as a list."""
        return (self.clarity * self.presence).ravel()


@dataclass(frozen=True, eq=False)
class Agreement:
    """Agreement of the blocks of an image with a fit, in pixels at working size."""

    residual_px: float
    """Weighted median distance of the blocks' best shifts from the fit."""
    agreeing: float
    """Share of the blocks' weight near the fit, within two pixels at 320 wide."""
    weight: float
    """Sum of the weights: the number of clear blocks."""


@dataclass(frozen=True, eq=False)
class Refined:
    """A homography after some rounds, and its quality."""

    matrix: np.ndarray
    """Thermal to visible pixels."""
    fit: JointFit | None
    """The last fit; None if there was too little structure."""
    agreement: Agreement | None
    total: np.ndarray
    """Sum of each parameter over all rounds."""


def refine(
    visible: Sequence[np.ndarray],
    thermal: Sequence[np.ndarray],
    matrix: np.ndarray,
    *,
    reach: int,
    freedom: int,
    rounds: int,
    hold: float = 1.0,
    total: np.ndarray | None = None,
    robust_rounds: int = 0,
) -> Refined:
    """Correct a homography up to `rounds` times, then `robust_rounds` times by consensus.

    Args:
        visible, thermal: images of one size, `float32` HxW.
        matrix: the homography, thermal to visible pixels.
        reach: largest shift in pixels.
        freedom: degrees of freedom of the correction, 4, 6 or 8.
        rounds: largest number of joint fits.
        hold, total: `hold` and `before` of `joint_fit.fit`.
        robust_rounds: largest number of robust fits.
    """
    height, width = visible[0].shape
    seen = [structure(v) for v in visible]
    total = np.zeros(freedom) if total is None else np.pad(total, (0, freedom - total.size))
    found, agreement = None, None

    def correct(parameters: np.ndarray) -> bool:
        """Apply a correction; return whether it was large."""
        nonlocal matrix, total
        corrected = correction(parameters, (width, height))
        matrix, total = corrected @ matrix, total + parameters
        matrix = matrix / matrix[2, 2]
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
        moved = cv2.perspectiveTransform(corners[None], corrected)[0]
        return bool(np.abs(moved - corners).max() >= _SMALLEST_CORRECTION_PX * width / 320)

    for _ in range(rounds):
        surfaces, blocks = _shifts(seen, thermal, matrix, reach)
        weighted = surfaces.values * blocks.clarity[:, :, None, None]
        found = fit(replace(surfaces, values=weighted), freedom, total, hold)
        if found is None:
            return Refined(matrix, None, None, total)
        agreement = _agreement(surfaces, blocks, found.parameters)
        if not correct(found.parameters):
            break
    for _ in range(robust_rounds):
        surfaces, blocks = _shifts(seen, thermal, matrix, reach)
        if not blocks.weights.any():
            break
        centres, targets_px = surfaces.centres.reshape(-1, 2), -blocks.shifts_px.reshape(-1, 2)
        parameters = robust_fit(centres, targets_px, blocks.weights, surfaces.size, total)
        agreement = _agreement(surfaces, blocks, parameters)
        if not correct(parameters):
            break
    return Refined(matrix, found, agreement, total)


def _shifts(
    visible: Sequence[np.ndarray],
    thermal: Sequence[np.ndarray],
    matrix: np.ndarray,
    reach: int,
) -> tuple[ShiftSurfaces, BlockShifts]:
    """Return the fit of the cells for each shift up to `reach` pixels, and the blocks' best ones.

    `visible` holds structures (`complex64` HxW), `thermal` images of the same size, `matrix`
    transforms thermal pixels to visible ones. The correlations are divided by the energy around
    them.
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
    for seen, image in zip(visible, thermal, strict=True):
        moved = cv2.warpPerspective(image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
        z = structure(moved) * inside
        e_visible += _cells(np.abs(seen) ** 2 * inside, cells)
        e_thermal += _cells(np.abs(z) ** 2, cells)
        padded = cv2.copyMakeBorder(
            z.view(np.float32).reshape(height, width, 2), *(reach,) * 4, cv2.BORDER_CONSTANT
        )
        real, imaginary = (np.ascontiguousarray(p) for p in (seen.real, seen.imag))
        p_real, p_imaginary = (np.ascontiguousarray(padded[:, :, c]) for c in (0, 1))
        # Offset d of the padded thermal structure is a shift of d - reach, so a best offset right
        # of the middle means that the thermal image lies too far right.
        for dy in range(side):
            for dx in range(side):
                window = np.s_[dy : dy + height, dx : dx + width]
                product: np.ndarray = cv2.multiply(real, p_real[window])
                product += imaginary * p_imaginary[window]
                cross[dy, dx] += _cells(product, cells)
    energy = np.sqrt(cv2.blur(e_visible, _BLOCK) * cv2.blur(e_thermal, _BLOCK))
    values = cross / np.maximum(energy, 0.05 * max(float(energy.max()), 1e-9))
    columns, rows = (
        (np.arange(n) + 0.5) * length / n - 0.5
        for n, length in zip(cells, (width, height), strict=True)
    )
    centres = np.stack(np.meshgrid(columns, rows), -1)
    surfaces = ShiftSurfaces(values.transpose(2, 3, 0, 1), centres, (width, height))
    return surfaces, _block_shifts(surfaces, energy)


def _cells(values: np.ndarray, cells: tuple[int, int]) -> np.ndarray:
    return cv2.resize(values, cells, interpolation=cv2.INTER_AREA)


def _block_shifts(surfaces: ShiftSurfaces, energy: np.ndarray) -> BlockShifts:
    """Return the best shift of each block; `energy` is its structure (rows x columns)."""
    reach, (rows, columns, side, _) = surfaces.reach, surfaces.values.shape
    flat = surfaces.values.reshape(rows, columns, side * side)
    blocks = cv2.blur(flat, _BLOCK).reshape(rows, columns, side, side)
    shifts_px, clarity = np.zeros((rows, columns, 2)), np.zeros((rows, columns), np.float32)
    for row, column in np.ndindex(rows, columns):
        surface = blocks[row, column]
        y, x = np.unravel_index(int(surface.argmax()), surface.shape)
        if not (0 < y < side - 1 and 0 < x < side - 1):
            continue
        sub_x, sub_y = peak_offset(surface[y], int(x)), peak_offset(surface[:, x], int(y))
        shifts_px[row, column] = x + sub_x - reach, y + sub_y - reach
        typical = float(np.median(surface))
        spread = 1.4826 * float(np.median(np.abs(surface - typical))) + 1e-6
        clarity[row, column] = np.clip(((surface[y, x] - typical) / spread - 1) / 4, 0, 1)
    presence = np.minimum(energy / max(float(np.median(energy)), 1e-9), 1.0)
    return BlockShifts(shifts_px, clarity, presence)


def _agreement(
    surfaces: ShiftSurfaces, blocks: BlockShifts, parameters: np.ndarray
) -> Agreement | None:
    """Return the agreement of the blocks with a motion; None if no block has a clear shift."""
    weights = blocks.weights
    weight = float(weights.sum())
    if weight <= 0:
        return None
    moves = motions_px(surfaces.centres.reshape(-1, 2), surfaces.size, parameters.size)
    fitted_px = moves @ parameters
    off_px = np.linalg.norm(blocks.shifts_px.reshape(-1, 2) + fitted_px, axis=1)
    order = np.argsort(off_px)
    share = np.cumsum(weights[order]) / weight
    near = off_px < 2.0 * surfaces.size[0] / 320
    return Agreement(
        float(off_px[order][np.searchsorted(share, 0.5)]),
        float(weights[near].sum()) / weight,
        weight,
    )
