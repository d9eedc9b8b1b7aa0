# SPDX-License-Identifier: Apache-2.0
"""From a first guess to a homography: small shifts of many cells, and what they agree on.

The thermal pictures are warped by what is known so far; each cell of the visible grid then says how
well its structure fits for each small shift, added up over all pairs, and `joint_fit` finds the
homography that all of them together like best. Blocks of three by three cells are large enough to
have a best shift of their own: how far it stands out says how much their middle cell counts, and at
the end these shifts tell what most parts agree on (`consensus`), and how many do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from fusion_ros.calibration.from_pairs import consensus
from fusion_ros.calibration.from_pairs.joint_fit import JointFit, ShiftSurfaces, fit
from fusion_ros.calibration.from_pairs.motion import correction, motions_px
from fusion_ros.registration.structure import structure

_CELLS_ACROSS = 12
_BLOCK = (3, 3)
_SMALLEST_CORRECTION_PX = 0.02


@dataclass(frozen=True, eq=False)
class BlockTops:
    """What the block around each cell likes best by itself. Rows x columns, as the cells."""

    shifts_px: np.ndarray
    """Rows x columns x 2: where the thermal picture lies too far, x, y."""
    clarity: np.ndarray
    """0..1, how far that shift stands out among the others; 0 where it is the largest there is."""
    presence: np.ndarray
    """0..1, how much there is to see, next to what is usual in the picture."""

    @property
    def weights(self) -> np.ndarray:
        """How much each block's shift counts, 0..1, as a list."""
        return (self.clarity * self.presence).ravel()


@dataclass(frozen=True, eq=False)
class Agreement:
    """What the blocks of a picture say of a fit, in pixels of the size looked at."""

    residual_px: float
    """Weighted median distance of the blocks' own best shifts from the fit."""
    agreeing: float
    """Share of the blocks' weight that lies near the fit: two pixels at 320 wide."""
    weight: float
    """Sum of the weights: how many clear blocks there were."""


@dataclass(frozen=True, eq=False)
class Refined:
    """A homography after some rounds, and what speaks for it."""

    matrix: np.ndarray
    """Thermal to visible pixels."""
    fit: JointFit | None
    """The last fit; None if there was too little to see."""
    agreement: Agreement | None
    bent: np.ndarray
    """What all rounds together found of each parameter."""


def refine(
    visible: Sequence[np.ndarray],
    thermal: Sequence[np.ndarray],
    matrix: np.ndarray,
    *,
    reach: int,
    freedom: int,
    rounds: int,
    hold: float = 1.0,
    bent: np.ndarray | None = None,
    settle_rounds: int = 0,
) -> Refined:
    """Correct `matrix` (thermal to visible pixels, both of this size) up to `rounds` times, and
    then `settle_rounds` times to what most parts agree on.

    `visible` and `thermal` are pictures (`float32` HxW), `reach` is the largest shift in pixels,
    `bent` and `hold` are what `joint_fit.fit` takes as `before` and `hold`.
    """
    height, width = visible[0].shape
    seen = [structure(v) for v in visible]
    bent = np.zeros(freedom) if bent is None else np.pad(bent, (0, freedom - bent.size))
    found, agreement = None, None

    def correct(parameters: np.ndarray) -> bool:
        """Whether there was much to correct."""
        nonlocal matrix, bent
        corrected = correction(parameters, (width, height))
        matrix, bent = corrected @ matrix, bent + parameters
        matrix = matrix / matrix[2, 2]
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
        moved = cv2.perspectiveTransform(corners[None], corrected)[0]
        return bool(np.abs(moved - corners).max() >= _SMALLEST_CORRECTION_PX * width / 320)

    for _ in range(rounds):
        surfaces, tops = _look(seen, thermal, matrix, reach)
        weighted = surfaces.values * tops.clarity[:, :, None, None]
        found = fit(replace(surfaces, values=weighted), freedom, bent, hold)
        if found is None:
            return Refined(matrix, None, None, bent)
        agreement = _agreement(surfaces, tops, found.parameters)
        if not correct(found.parameters):
            break
    for _ in range(settle_rounds):
        surfaces, tops = _look(seen, thermal, matrix, reach)
        if not tops.weights.any():
            break
        centres, wanted_px = surfaces.centres.reshape(-1, 2), -tops.shifts_px.reshape(-1, 2)
        parameters = consensus.agreed(centres, wanted_px, tops.weights, surfaces.size, bent)
        agreement = _agreement(surfaces, tops, parameters)
        if not correct(parameters):
            break
    return Refined(matrix, found, agreement, bent)


def _look(
    seen: list[np.ndarray], thermal: Sequence[np.ndarray], matrix: np.ndarray, reach: int
) -> tuple[ShiftSurfaces, BlockTops]:
    surfaces, energy = shift_surfaces(seen, thermal, matrix, reach)
    return surfaces, block_tops(surfaces, energy)


def shift_surfaces(
    visible: Sequence[np.ndarray],
    thermal: Sequence[np.ndarray],
    matrix: np.ndarray,
    reach: int,
) -> tuple[ShiftSurfaces, np.ndarray]:
    """How well the cells fit for each shift up to `reach` pixels, and how much each has to see.

    `visible` holds structures (`complex64` HxW), `thermal` pictures of the same size, `matrix`
    takes thermal pixels to visible ones. The correlations are divided by the energy around them.
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
        # The padded thermal structure at offset d is what lies d - reach further on, so a best
        # offset right of the middle means that the thermal picture lies too far right.
        for dy in range(side):
            for dx in range(side):
                window = np.s_[dy : dy + height, dx : dx + width]
                product = cv2.multiply(real, p_real[window])
                product += imaginary * p_imaginary[window]
                cross[dy, dx] += _cells(product, cells)
    energy = np.sqrt(cv2.blur(e_visible, _BLOCK) * cv2.blur(e_thermal, _BLOCK))
    values = cross / np.maximum(energy, 0.05 * max(float(energy.max()), 1e-9))
    columns, rows = (
        (np.arange(n) + 0.5) * length / n - 0.5
        for n, length in zip(cells, (width, height), strict=True)
    )
    centres = np.stack(np.meshgrid(columns, rows), -1)
    return ShiftSurfaces(values.transpose(2, 3, 0, 1), centres, (width, height)), energy


def _cells(values: np.ndarray, cells: tuple[int, int]) -> np.ndarray:
    return cv2.resize(values, cells, interpolation=cv2.INTER_AREA)


def block_tops(surfaces: ShiftSurfaces, energy: np.ndarray) -> BlockTops:
    """What each block likes best; `energy` is how much its cells have to see (rows x columns)."""
    reach, (rows, columns, side, _) = surfaces.reach, surfaces.values.shape
    flat = surfaces.values.reshape(rows, columns, side * side)
    blocks = cv2.blur(flat, _BLOCK).reshape(rows, columns, side, side)
    shifts_px, clarity = np.zeros((rows, columns, 2)), np.zeros((rows, columns), np.float32)
    for row, column in np.ndindex(rows, columns):
        surface = blocks[row, column]
        y, x = np.unravel_index(int(surface.argmax()), surface.shape)
        if not (0 < y < side - 1 and 0 < x < side - 1):
            continue
        sub_x = _vertex(surface[y, x - 1 : x + 2])
        sub_y = _vertex(surface[y - 1 : y + 2, x])
        shifts_px[row, column] = x + sub_x - reach, y + sub_y - reach
        typical = float(np.median(surface))
        spread = 1.4826 * float(np.median(np.abs(surface - typical))) + 1e-6
        clarity[row, column] = np.clip(((surface[y, x] - typical) / spread - 1) / 4, 0, 1)
    presence = np.minimum(energy / max(float(np.median(energy)), 1e-9), 1.0)
    return BlockTops(shifts_px, clarity, presence)


def _agreement(
    surfaces: ShiftSurfaces, tops: BlockTops, parameters: np.ndarray
) -> Agreement | None:
    """What the blocks' own best shifts say of a motion; None if no block has a clear one."""
    weights = tops.weights
    weight = float(weights.sum())
    if weight <= 0:
        return None
    moves = motions_px(surfaces.centres.reshape(-1, 2), surfaces.size, parameters.size)
    fitted_px = moves @ parameters
    off_px = np.linalg.norm(tops.shifts_px.reshape(-1, 2) + fitted_px, axis=1)
    order = np.argsort(off_px)
    share = np.cumsum(weights[order]) / weight
    near = off_px < 2.0 * surfaces.size[0] / 320
    return Agreement(
        float(off_px[order][np.searchsorted(share, 0.5)]),
        float(weights[near].sum()) / weight,
        weight,
    )


def _vertex(three: np.ndarray) -> float:
    """Where the parabola through three equidistant values has its top, from the middle one."""
    before, middle, after = (float(v) for v in three)
    bend = before - 2 * middle + after
    return 0.0 if bend >= -1e-12 else float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5))
