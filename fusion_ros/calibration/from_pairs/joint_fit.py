# SPDX-License-Identifier: Apache-2.0
"""The homography that all parts of a picture together like best.

Each cell of the picture says how well it fits for every small shift: a surface. Instead of asking
each for its one best shift, all surfaces are added up along the motions of a homography and the top
of the sum is climbed to (Newton steps). So an edge counts across itself and not along, a cell with
two possible shifts lets the others decide, and one with nothing to say has a flat surface.

How far to trust the answer comes from how much the cells pull against each other at the top: the
sandwich covariance of M-estimators (P. J. Huber, 1967), neighbouring cells taken together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fusion_ros.calibration.from_pairs.motion import SPREAD, motions_px

_TOGETHER = 3
"""Cells along each side that are taken to err alike: parallax is larger than one of them."""
_STEPS = 25
_SMALLEST_STEP_PX = 0.003
_NOISE_ROUNDS = (0, 4, 8)


@dataclass(frozen=True, eq=False)
class ShiftSurfaces:
    """How well each cell of a picture fits for each shift. Pixels are those of the picture."""

    values: np.ndarray
    """Rows x columns x side x side: cell, then shift down and across, of -reach .. reach."""
    centres: np.ndarray
    """Rows x columns x 2, where the cells are: x, y."""
    size: tuple[int, int]
    """Width and height of the picture."""

    @property
    def reach(self) -> int:
        return self.values.shape[-1] // 2


@dataclass(frozen=True, eq=False)
class JointFit:
    """A homography fitted to shift surfaces."""

    parameters: np.ndarray
    """The correction: takes where the picture lies to where it should lie, see `motion`."""
    corner_error_px: float
    """Expected error at the picture's corners: their root mean square of one standard deviation."""


def fit(
    surfaces: ShiftSurfaces, freedom: int, before: np.ndarray, hold: float = 1.0
) -> JointFit | None:
    """The correction with 4 (similarity), 6 (affine) or 8 degrees of freedom that fits best.

    A shift of a surface is where its cell lies now: the correction undoes it. The higher degrees
    are held towards what rigs have as far as the cells do not know better, times `hold`; `before`
    has what earlier rounds found of each, since it is their sum that is held. None where the
    surfaces do not determine a correction.
    """
    width, height = surfaces.size
    rows, columns, side, _ = surfaces.values.shape
    values = surfaces.values.reshape(-1, side, side).astype(np.float64)
    motions = motions_px(surfaces.centres.reshape(-1, 2), surfaces.size, freedom)
    held = hold / SPREAD[:freedom] ** 2
    parameters, noise, damping = np.zeros(freedom), 0.0, 1e-3

    def height_at(trial: np.ndarray) -> float:
        sampled = _sampled(values, surfaces.reach - motions @ trial)[0]
        return float(sampled.sum() - 0.5 * noise * (held * (trial + before) ** 2).sum())

    for round_ in range(_STEPS):
        _, slope, bend = _sampled(values, surfaces.reach - motions @ parameters)
        pulls = -np.einsum("nij,ni->nj", motions, slope)
        sharpness = np.einsum("nij,nik,nkl->jl", motions, _only_tops(bend), motions)
        if np.linalg.cond(sharpness) > 1e12:
            return None
        scatter = _scatter(pulls.reshape(rows, columns, freedom))
        if round_ in _NOISE_ROUNDS:  # how many times less the surfaces know than their bend says
            noise = float(np.trace(np.linalg.solve(sharpness, scatter))) / freedom
        uphill = pulls.sum(0) - noise * held * (parameters + before)
        precision = sharpness + np.diag(noise * held)
        now = height_at(parameters)
        for _ in range(6):
            step = np.linalg.solve(precision + damping * np.diag(np.diag(sharpness)), uphill)
            if height_at(parameters + step) > now:
                damping = max(damping / 5, 1e-4)
                break
            damping *= 5
        else:
            break
        parameters = parameters + step
        if np.abs(step).max() * width / 2 < _SMALLEST_STEP_PX:
            break
    inverse = np.linalg.inv(precision)
    covariance = inverse @ (scatter + np.diag(noise**2 * held)) @ inverse
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]]) - 0.5
    at_corners = motions_px(corners, surfaces.size, freedom)
    variances = np.einsum("nij,jk,nik->n", at_corners, covariance, at_corners)
    return JointFit(parameters, float(np.sqrt(variances.mean())))


def _scatter(pulls: np.ndarray) -> np.ndarray:
    """Sum of outer products of the cells' pulls, each with its neighbours' (Bartlett weights)."""
    rows, columns, freedom = pulls.shape
    sums = np.zeros((rows + _TOGETHER - 1, columns + _TOGETHER - 1, freedom))
    for down in range(_TOGETHER):
        for across in range(_TOGETHER):
            sums[down : down + rows, across : across + columns] += pulls
    sums = sums.reshape(-1, freedom)
    return sums.T @ sums / _TOGETHER**2


def _only_tops(bend: np.ndarray) -> np.ndarray:
    """How sharp a top each surface has here (N x 2 x 2), none along a direction that rises."""
    values, vectors = np.linalg.eigh(-bend)
    return np.einsum("nij,nj,nkj->nik", vectors, np.maximum(values, 0), vectors)


def _sampled(values: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each surface (N x side x side) at its own point (N x 2: x, y), with slope and bend.

    Between the samples by Catmull-Rom splines. Beyond the border a surface is flat.
    """
    count, side, _ = values.shape
    inside = ((at >= 1) & (at < side - 2)).all(1)
    at = np.clip(at, 1, side - 2 - 1e-6)
    first = np.floor(at).astype(int)
    taken = first[:, :, None] + np.arange(-1, 3)
    patches = values[
        np.arange(count)[:, None, None], taken[:, 1][:, :, None], taken[:, 0][:, None, :]
    ]
    across, down = (_spline(at[:, axis] - first[:, axis]) for axis in (0, 1))

    def with_weights(y: int, x: int) -> np.ndarray:
        return np.einsum("nij,ni,nj->n", patches, down[y], across[x])

    slope = np.stack([with_weights(0, 1), with_weights(1, 0)], 1)
    mixed = with_weights(1, 1)
    bend = np.stack([with_weights(0, 2), mixed, mixed, with_weights(2, 0)], 1).reshape(-1, 2, 2)
    return with_weights(0, 0), slope * inside[:, None], bend * inside[:, None, None]


def _spline(t: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Catmull-Rom weights (N x 4) of four samples at `t` (0..1) between the middle two, with their
    first and second derivatives.
    """
    a, b = t * t, t * t * t
    weights = (-t / 2 + a - b / 2, 1 - 2.5 * a + 1.5 * b, t / 2 + 2 * a - 1.5 * b, (b - a) / 2)
    slopes = (-0.5 + 2 * t - 1.5 * a, 4.5 * a - 5 * t, 0.5 + 4 * t - 4.5 * a, 1.5 * a - t)
    bends = (2 - 3 * t, 9 * t - 5, 4 - 9 * t, 3 * t - 1)
    return np.stack(weights, 1), np.stack(slopes, 1), np.stack(bends, 1)
