# SPDX-License-Identifier: Apache-2.0
"""Joint fit of a homography to shift surfaces with known tops."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fusion_ros.calibration.from_pairs.joint_fit import JointFit, ShiftSurfaces, correction, fit

SIZE = (640, 480)
ROWS, COLUMNS, REACH = 9, 12, 6
X, Y = np.meshgrid((np.arange(COLUMNS) + 0.5) * 640 / 12 - 0.5, (np.arange(ROWS) + 0.5) * 480 / 9)
CENTRES = np.stack([X, Y - 0.5], -1)
STEPS = np.arange(-REACH, REACH + 1.0)


def shifted_surfaces(
    matrix: np.ndarray, off_px: np.ndarray | None = None, *, one_edge: bool = False
) -> ShiftSurfaces:
    """Return surfaces of an image moved by `matrix`: a bell around the shift of each cell.

    `off_px` (rows x columns x 2) is added to the shift. With `one_edge`, even columns of cells have
    structure across and the others down, like cells with one straight edge.
    """
    moved = cv2.perspectiveTransform(CENTRES.reshape(1, -1, 2), matrix).reshape(CENTRES.shape)
    shift = moved - CENTRES + (0 if off_px is None else off_px)
    across = np.exp(-((STEPS - shift[..., :1]) ** 2) / 8)[:, :, None, :]
    down = np.exp(-((STEPS - shift[..., 1:]) ** 2) / 8)[:, :, :, None]
    if one_edge:
        even = (np.arange(COLUMNS) % 2 == 0)[None, :, None, None]
        across, down = np.where(even, across, 1.0), np.where(even, 1.0, down)
    return ShiftSurfaces(across * down, CENTRES, SIZE)


def corners_off_px(found: JointFit, matrix: np.ndarray) -> float:
    """Return the remaining error at the corners after the correction."""
    corners = np.array([[[0, 0], [639, 0], [639, 479], [0, 479.0]]])
    back = cv2.perspectiveTransform(corners, correction(found.parameters, SIZE) @ matrix)
    return float(np.linalg.norm(back - corners, axis=-1).max())


MOVED = np.array([[1.004, -0.003, 1.2], [0.003, 1.002, -1.6], [2e-6, -3e-6, 1.0]])


def test_correction_inverts_the_motion() -> None:
    found = fit(shifted_surfaces(MOVED), 8, np.zeros(8))
    assert found is not None
    assert corners_off_px(found, MOVED) < 0.15


def test_straight_edges_determine_the_fit_together() -> None:
    found = fit(shifted_surfaces(MOVED, one_edge=True), 8, np.zeros(8))
    assert found is not None
    assert corners_off_px(found, MOVED) < 0.15


def test_flat_surfaces_determine_nothing() -> None:
    flat = ShiftSurfaces(np.ones((ROWS, COLUMNS, 13, 13)), CENTRES, SIZE)
    assert fit(flat, 8, np.zeros(8)) is None


def test_expected_corner_error_matches_the_noise_of_the_cells() -> None:
    rng = np.random.default_rng(3)
    expected, errors = [], []
    for _ in range(40):
        found = fit(shifted_surfaces(np.eye(3), rng.normal(0, 0.6, CENTRES.shape)), 6, np.zeros(6))
        corners = np.array([[[0, 0], [639, 0], [639, 479], [0, 479.0]]])
        off = cv2.perspectiveTransform(corners, correction(found.parameters, SIZE)) - corners
        errors.append(float((off**2).sum(-1).mean()))
        expected.append(found.corner_error_px**2)
    assert np.sqrt(np.mean(expected)) == pytest.approx(np.sqrt(np.mean(errors)), rel=0.35)


def test_correlated_errors_of_cells_raise_the_expected_error() -> None:
    rng = np.random.default_rng(4)
    expected = {"alone": 0.0, "together": 0.0}
    for _ in range(8):
        patches = np.repeat(np.repeat(rng.normal(0, 0.5, (3, 4, 2)), 3, 0), 3, 1)
        for way, off in (("alone", rng.normal(0, 0.5, CENTRES.shape)), ("together", patches)):
            expected[way] += fit(shifted_surfaces(np.eye(3), off), 4, np.zeros(4)).corner_error_px
    # Nine equal errors count as one: three times the deviation, two thirds of it measured.
    assert 1.5 < expected["together"] / expected["alone"] < 3.0


def test_undetermined_perspective_is_held_to_usual_rigs() -> None:
    rng = np.random.default_rng(5)
    few = shifted_surfaces(np.eye(3), rng.normal(0, 1.0, CENTRES.shape))
    few = ShiftSurfaces(few.values[3:6, 4:8], CENTRES[3:6, 4:8], SIZE)
    free, held = (fit(few, 8, np.zeros(8), hold) for hold in (0.0, 1.0))
    assert np.abs(held.parameters[6:]).max() < 0.02
    assert np.linalg.norm(held.parameters[4:]) < np.linalg.norm(free.parameters[4:])


def test_hold_includes_earlier_rounds() -> None:
    rng = np.random.default_rng(6)
    surfaces = shifted_surfaces(np.eye(3), rng.normal(0, 0.5, CENTRES.shape))
    total = np.array([0, 0, 0, 0, 0, 0, 0.05, 0.0])
    fresh, later = fit(surfaces, 8, np.zeros(8)), fit(surfaces, 8, total)
    assert later.parameters[6] < fresh.parameters[6]
