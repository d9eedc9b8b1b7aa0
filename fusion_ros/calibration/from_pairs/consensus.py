# SPDX-License-Identifier: Apache-2.0
"""The homography that most parts of an image agree on (iteratively reweighted least squares).

Objects at another distance than most of the scene (the ground in front of the wheels, a person
close by), or visible to one camera only, need another homography. `joint_fit` weights them by their
clarity; here their weight falls with their distance from the common fit. The start must be nearly
correct.
"""

from __future__ import annotations

import numpy as np

from fusion_ros.calibration.from_pairs.motion import SPREAD, motions_px

_OUTLIER_PX = 1.0
"""A block this far from the fit keeps a quarter of its weight."""
_ROUNDS = 15


def robust_fit(
    centres: np.ndarray,
    targets_px: np.ndarray,
    weights: np.ndarray,
    size: tuple[int, int],
    before: np.ndarray,
) -> np.ndarray:
    """Fit a correction to the shifts of blocks, with Cauchy's weights, squared.

    Args:
        centres: centres of the blocks, N x 2 (x, y).
        targets_px: their shifts, N x 2.
        weights: weights of the blocks, N.
        size: width and height of the image.
        before: sum of each parameter over earlier rounds, as in `joint_fit.fit`.

    Returns:
        The parameters of the correction, see `motion`.
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
