# SPDX-License-Identifier: Apache-2.0
"""The homography that fits all parts of an image best.

Each cell of the image has a surface: how well it fits for every small shift. Instead of taking the
best shift of each cell, the fit adds all surfaces along the motions of a homography and climbs to
the top of the sum (Newton steps). So an edge counts across itself and not along, a cell with two
possible shifts has no preference, and a cell without structure has a flat surface.

The uncertainty follows from how much the cells disagree at the top: the sandwich covariance of
M-estimators (P. J. Huber, 1967), with neighbouring cells taken together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fusion_ros.calibration.from_pairs.motion import SPREAD, motions_px

_TOGETHER = 3
"""Cells along each side with correlated errors: parallax extends over more than one cell."""
_STEPS = 25
_SMALLEST_STEP_PX = 0.003
_NOISE_ROUNDS = (0, 4, 8)


@dataclass(frozen=True, eq=False)
class ShiftSurfaces:
    """Fit of each cell of an image for each shift, in pixels of the image."""

    values: np.ndarray
    """Rows x columns x side x side: cell, then shift down and across, of -reach .. reach."""
    centres: np.ndarray
    """Rows x columns x 2, centres of the cells: x, y."""
    size: tuple[int, int]
    """Width and height of the image."""

    @property
    def reach(self) -> int:
        """Return the largest shift in pixels."""
        return self.values.shape[-1] // 2


@dataclass(frozen=True, eq=False)
class JointFit:
    """A homography fitted to shift surfaces."""

    parameters: np.ndarray
    """The correction from the current to the correct position, see `motion`."""
    corner_error_px: float
    """Expected error at the image corners: root mean square of one standard deviation."""


def fit(
    surfaces: ShiftSurfaces, freedom: int, before: np.ndarray, hold: float = 1.0
) -> JointFit | None:
    """Fit a correction with 4 (similarity), 6 (affine) or 8 degrees of freedom.

    The shift of a surface is the current position of its cell: the correction inverts it. The
    higher degrees are held towards zero with the strength `hold`, unless the cells determine them.
    `before` is the sum of each parameter over earlier rounds, because the sum is held. None if the
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
        gradients = -np.einsum("nij,ni->nj", motions, slope)
        sharpness = np.einsum("nij,nik,nkl->jl", motions, _only_tops(bend), motions)
        if np.linalg.cond(sharpness) > 1e12:
            return None
        scatter = _scatter(gradients.reshape(rows, columns, freedom))
        if round_ in _NOISE_ROUNDS:  # ratio of the true uncertainty to that from the curvature
            noise = float(np.trace(np.linalg.solve(sharpness, scatter))) / freedom
        ascent = gradients.sum(0) - noise * held * (parameters + before)
        precision = sharpness + np.diag(noise * held)
        now = height_at(parameters)
        for _ in range(6):
            step = np.linalg.solve(precision + damping * np.diag(np.diag(sharpness)), ascent)
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


def _scatter(gradients: np.ndarray) -> np.ndarray:
    """Return the sum of outer products of neighbouring cells' gradients (Bartlett weights)."""
    rows, columns, freedom = gradients.shape
    sums = np.zeros((rows + _TOGETHER - 1, columns + _TOGETHER - 1, freedom))
    for down in range(_TOGETHER):
        for across in range(_TOGETHER):
            sums[down : down + rows, across : across + columns] += gradients
    sums = sums.reshape(-1, freedom)
    return sums.T @ sums / _TOGETHER**2


def _only_tops(bend: np.ndarray) -> np.ndarray:
    """Return the curvature of each surface (N x 2 x 2), zero in directions that curve upwards."""
    values, vectors = np.linalg.eigh(-bend)
    return np.einsum("nij,nj,nkj->nik", vectors, np.maximum(values, 0), vectors)


def _sampled(values: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return each surface (N x side x side) at its point, with gradient and curvature.

    The points are N x 2 (x, y). Catmull-Rom splines interpolate the samples. Beyond the border a
    surface is flat.
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
    """Return Catmull-Rom weights (N x 4) and their first and second derivatives.

    `t` is the position (0..1) between the middle two of four samples.
    """
    a, b = t * t, t * t * t
    weights = (-t / 2 + a - b / 2, 1 - 2.5 * a + 1.5 * b, t / 2 + 2 * a - 1.5 * b, (b - a) / 2)
    slopes = (-0.5 + 2 * t - 1.5 * a, 4.5 * a - 5 * t, 0.5 + 4 * t - 4.5 * a, 1.5 * a - t)
    bends = (2 - 3 * t, 9 * t - 5, 4 - 9 * t, 3 * t - 1)
    return np.stack(weights, 1), np.stack(slopes, 1), np.stack(bends, 1)
