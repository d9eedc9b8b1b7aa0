# SPDX-License-Identifier: Apache-2.0
"""Error measures and tables of the registration benchmark."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.registration import (
    corner_error_px,
    edge_distances_px,
    edges,
    known_warps,
    overlap_error_px,
    references,
)

SIZE = (320, 240)
SHIFT = np.array([[1, 0, 3.0], [0, 1, 4.0], [0, 0, 1]])


def test_an_edge_measures_the_shift_across_itself_and_not_along() -> None:
    upright, lying = [0, 100, 80, 100, 80, 0.0], [0, 150, 90, 150, 90, 90.0]
    off = edge_distances_px(np.array([upright, lying]), SHIFT, np.eye(3), SIZE)
    assert off == pytest.approx([6, 8])  # 3 and 4 px at 320 wide


def test_edges_follow_a_known_warp_and_those_outside_of_it_are_left_out() -> None:
    marks = np.array([[0, 100, 80, 100, 80, 0], [0, 1, 80, 1, 80, 0.0]])
    off = edge_distances_px(marks, SHIFT, SHIFT, SIZE)  # 1 comes from -2 in the warped image
    assert off == pytest.approx([0])


def test_the_error_of_a_shift_is_the_shift_at_corners_and_in_the_overlap() -> None:
    assert corner_error_px(SHIFT, np.eye(3), SIZE) == pytest.approx(10)
    assert overlap_error_px(SHIFT, np.eye(3), SIZE) == pytest.approx(10)


def test_places_outside_of_the_overlap_count_for_the_corners_alone() -> None:
    large = np.diag([4.0, 4.0, 1.0])  # the thermal camera sees four times as far either way
    wrong = large.copy()
    wrong[2, 0] = 1e-4  # perspective that grows with the distance from the left
    assert overlap_error_px(wrong, large, SIZE) < corner_error_px(wrong, large, SIZE) / 4


def test_known_warps_depend_on_rig_and_seed_alone() -> None:
    few, many = known_warps("llvip", 1, 7, SIZE), known_warps("llvip", 4, 7, SIZE)
    np.testing.assert_array_equal(few[0], many[0])
    assert not np.allclose(few[0], known_warps("msrs", 1, 7, SIZE)[0])


def test_matched_edges_lie_near_each_other() -> None:
    for rig, marks in edges().items():
        assert len(marks) >= 8, rig
        assert np.linalg.norm(marks[:, 1:3] - marks[:, 3:5], axis=1).max() < 11, rig


def test_references_are_close_to_the_identity() -> None:
    for rig, matrix in references().items():
        assert corner_error_px(matrix, np.eye(3), (640, 480)) < 12, rig
