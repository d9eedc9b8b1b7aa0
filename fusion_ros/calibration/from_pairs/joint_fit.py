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

_TOGETHER = 3
"""Cells along each side with correlated errors: parallax extends over more than one cell."""
_STEPS = 25
_SMALLEST_STEP_PX = 0.003
_NOISE_ROUNDS = (0, 4, 8)
_OUTLIER_PX = 1.0
"""A block this far from the fit keeps a quarter of its weight."""
_ROUNDS = 15
SPREAD = np.array([np.inf, np.inf, np.inf, np.inf, 0.01, 0.005, 0.008, 0.008])
"""Standard deviation of each parameter over rigs: unlimited for shift, scale and rotation, small
for stretch, shear and perspective. The cameras look in the same direction within a degree or so,
and their pixels are nearly square."""


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
    """The correction from the current to the correct position, see `correction`."""
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


def robust_fit(
    centres: np.ndarray,
    targets_px: np.ndarray,
    weights: np.ndarray,
    size: tuple[int, int],
    before: np.ndarray,
) -> np.ndarray:
    """Fit a correction to the shifts of blocks (N x 2), with Cauchy's weights, squared.

    Objects at another distance than most of the scene (the ground in front of the wheels, a person
    close by), or visible to one camera only, need another homography. `fit` weights them by their
    clarity; here their weight falls with their distance from the common fit (iteratively reweighted
    least squares). The start must be nearly correct. `size` and `before` are those of `fit`.
    """
    moves = motions_px(centres, size, before.size)
    weight, reach_px = weights, 4.0 * _OUTLIER_PX
    held, parameters = np.zeros(before.size), np.zeros(before.size)
    for _ in range(_ROUNDS):
        normal = np.einsum("nij,n,nik->jk", moves, weight, moves)
        right = np.einsum("nij,n,ni->j", moves, weight, targets_px)
        # Few blocks may not determine all parameters; least squares then takes the smallest.
        parameters = np.linalg.lstsq(normal + np.diag(held), right - held * before, rcond=None)[0]
        off_px = np.linalg.norm(targets_px - moves @ parameters, axis=1)
        variance = float((weight * off_px**2).sum() / weight.sum()) / 2
        held = variance / SPREAD[: before.size] ** 2
        weight = weights / (1 + (off_px / reach_px) ** 2) ** 2
        reach_px = max(reach_px * 0.8, _OUTLIER_PX)
    return parameters


def correction(parameters: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the 3x3 matrix of 4, 6 or 8 parameters for an image of this size (width, height).

    Eight numbers: shift (2), scale, rotation, stretch, shear, perspective (2), in units of half the
    image width. The first four make a similarity, the first six an affine map. To first order,
    points move in proportion to them.
    """
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
