# SPDX-License-Identifier: Apache-2.0
"""The homography that most parts of a picture agree on, others let go.

What lies at another distance than most of the scene (the ground before the wheels, a person close
by) or is seen by one camera alone would rather lie elsewhere. `joint_fit` gives it a say in
proportion to how clear it is; here it loses its say with its distance from what the others want.
That needs a start that is nearly right.
"""

from __future__ import annotations

import numpy as np

from fusion_ros.calibration.from_pairs.motion import SPREAD, motions_px

_OUTLIER_PX = 1.0
"""A block so far off has a quarter of its say left."""
_ROUNDS = 15


def agreed(
    centres: np.ndarray,
    wanted_px: np.ndarray,
    weights: np.ndarray,
    size: tuple[int, int],
    before: np.ndarray,
) -> np.ndarray:
    """The parameters (see `motion`) of the correction that most blocks want.

    `centres` and `wanted_px` are N x 2 (x, y), in pixels of a picture of `size`, `weights` N.
    `before` has what earlier rounds found of each parameter, as `joint_fit.fit` takes it.
    By iteratively reweighted least squares (Cauchy's weights, squared).
    """
    moves = motions_px(centres, size, before.size)
    weight, reach_px = weights, 4.0 * _OUTLIER_PX
    held, parameters = np.zeros(before.size), np.zeros(before.size)
    for _ in range(_ROUNDS):
        normal = np.einsum("nij,n,nik->jk", moves, weight, moves)
        right = np.einsum("nij,n,ni->j", moves, weight, wanted_px)
        # Few blocks may leave some parameter open: the smallest answer then.
        parameters = np.linalg.lstsq(normal + np.diag(held), right - held * before, rcond=None)[0]
        off_px = np.linalg.norm(wanted_px - moves @ parameters, axis=1)
        variance = float((weight * off_px**2).sum() / weight.sum()) / 2
        held = variance / SPREAD[: before.size] ** 2
        weight = weights / (1 + (off_px / reach_px) ** 2) ** 2
        reach_px = max(reach_px * 0.8, _OUTLIER_PX)
    return parameters
