# SPDX-License-Identifier: Apache-2.0
"""Robust fit of a correction to the shifts of blocks."""

from __future__ import annotations

import numpy as np
import pytest

from fusion_ros.calibration.from_pairs.joint_fit import motions_px, robust_fit

SIZE = (640, 480)
CENTRES = np.stack(np.meshgrid(np.linspace(30, 610, 12), np.linspace(30, 450, 9)), -1).reshape(
    -1, 2
)
MOTION = np.array([0.004, -0.006, 0.003, 0.002, -0.001, 0.001, 0.002, -0.001])
WANTED_PX = motions_px(CENTRES, SIZE, 8) @ MOTION
EVEN = np.ones(len(CENTRES))
NOTHING = np.zeros(8)


def off_px(parameters: np.ndarray) -> float:
    """Return the largest error of the motion among the blocks."""
    moved = motions_px(CENTRES, SIZE, parameters.size) @ parameters
    return float(np.linalg.norm(moved - WANTED_PX, axis=1).max())


def test_consistent_blocks_are_fitted_exactly() -> None:
    assert off_px(robust_fit(CENTRES, WANTED_PX, EVEN, SIZE, NOTHING)) < 0.01


def test_near_ground_at_another_shift_has_little_effect() -> None:
    near = CENTRES[:, 1] > 350  # the lowest quarter
    wanted_px = WANTED_PX + np.where(near, 4.0, 0.0)[:, None] * [0, 1]
    assert near.mean() > 0.2
    assert off_px(robust_fit(CENTRES, wanted_px, EVEN, SIZE, NOTHING)) < 0.3


def test_blocks_without_weight_have_no_effect() -> None:
    blind = CENTRES[:, 0] < 320
    wanted_px = np.where(blind[:, None], 50.0, WANTED_PX)
    found = robust_fit(CENTRES, wanted_px, np.where(blind, 0.0, 1.0), SIZE, NOTHING)
    assert off_px(found) < 0.05


def test_scattered_blocks_are_held_to_usual_rigs_with_earlier_rounds() -> None:
    rng = np.random.default_rng(5)
    scattered_px = rng.normal(0, 3, CENTRES.shape)
    total = np.array([0, 0, 0, 0, 0, 0, 0.05, 0.0])  # six deviations before
    free = robust_fit(CENTRES, scattered_px, EVEN, SIZE, NOTHING)
    held = robust_fit(CENTRES, scattered_px, EVEN, SIZE, total)
    assert held[6] < free[6] - 0.005


@pytest.mark.parametrize("count", [1, 2])
def test_few_blocks_are_fitted_with_the_smallest_motion(count: int) -> None:
    found = robust_fit(CENTRES[:count], np.full((count, 2), 2.0), EVEN[:count], SIZE, NOTHING)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(motions_px(CENTRES[:count], SIZE, 8) @ found, 2.0, atol=0.05)
