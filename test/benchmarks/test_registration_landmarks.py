# SPDX-License-Identifier: Apache-2.0
"""What the benchmark of calibration from pairs measures by."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.registration_bars import scored
from benchmarks.registration_landmarks import distances_px, landmarks
from benchmarks.registration_rigs import corner_error_px, known_warps, overlap_error_px
from benchmarks.registration_witness import witnesses

SIZE = (320, 240)
SHIFT = np.array([[1, 0, 3.0], [0, 1, 4.0], [0, 0, 1]])


def test_an_edge_tells_of_the_shift_across_itself_and_not_along() -> None:
    upright, lying = [0, 100, 80, 100, 80, 0.0], [0, 150, 90, 150, 90, 90.0]
    off = distances_px(np.array([upright, lying]), SHIFT, np.eye(3), SIZE)
    assert off == pytest.approx([6, 8])  # 3 and 4 px at 320 wide


def test_edges_are_followed_through_a_known_warp_and_those_it_moved_out_are_left_out() -> None:
    marks = np.array([[0, 100, 80, 100, 80, 0], [0, 1, 80, 1, 80, 0.0]])
    off = distances_px(marks, SHIFT, SHIFT, SIZE)  # 1 comes from -2 in the warped picture
    assert off == pytest.approx([0])


def test_corners_and_overlap_of_a_shift_are_off_by_the_shift() -> None:
    assert corner_error_px(SHIFT, np.eye(3), SIZE) == pytest.approx(10)
    assert overlap_error_px(SHIFT, np.eye(3), SIZE) == pytest.approx(10)


def test_what_lies_outside_the_overlap_counts_for_the_corners_alone() -> None:
    large = np.diag([4.0, 4.0, 1.0])  # the thermal camera sees four times as far either way
    wrong = large.copy()
    wrong[2, 0] = 1e-4  # perspective that grows with the distance from the left
    assert overlap_error_px(wrong, large, SIZE) < corner_error_px(wrong, large, SIZE) / 4


def test_a_rig_is_warped_alike_whatever_else_is_run() -> None:
    few, many = known_warps("llvip", 1, 7, SIZE), known_warps("llvip", 4, 7, SIZE)
    assert len(few) == 2
    np.testing.assert_array_equal(few[1], many[1])
    assert not np.allclose(few[1], known_warps("msrs", 1, 7, SIZE)[1])


def test_the_table_has_edges_in_both_pictures_that_lie_near_each_other() -> None:
    for rig, marks in landmarks().items():
        assert len(marks) >= 8, rig
        assert np.linalg.norm(marks[:, 1:3] - marks[:, 3:5], axis=1).max() < 11, rig


def test_runs_are_scored_where_the_witness_says_that_the_pairs_lie() -> None:
    rig = "tno_seq duine"  # of no landmarks
    run = {"rig": rig, "size": SIZE, "verdict": "good"}
    lies = witnesses()[rig].matrix
    own, warp = SHIFT @ lies, np.array([[1, 0, -20.0], [0, 1, 0], [0, 0, 1]])
    runs = [
        {**run, "warp": 0, "known": np.eye(3).tolist(), "found": own.tolist()},
        {**run, "warp": 1, "known": warp.tolist(), "found": (own @ warp).tolist()},
    ]
    scores = scored(runs)[1]
    assert scores["corners_px"] == pytest.approx(10)
    assert scores["raw_corners_px"] == pytest.approx(corner_error_px(own @ warp, warp, SIZE))
    assert scores["recovered_px"] == pytest.approx(0, abs=1e-9)
    assert "edges_median_px" not in scores
