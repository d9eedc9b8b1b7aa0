# SPDX-License-Identifier: Apache-2.0
"""The second way of looking at how pairs lie: it finds what it is shown, and tells how surely."""

from __future__ import annotations

import cv2
import numpy as np

from benchmarks.registration_rigs import corner_error_px, every_other, warped
from benchmarks.registration_witness import look, unseen, witnesses

SIZE = (240, 180)
MATRIX = np.array([[1.01, 0.01, -3.0], [-0.01, 1.0, 2.0], [2e-5, -1e-5, 1.0]])


def pair(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Patches of light and, with other greys for each of them, of warmth."""
    rng = np.random.default_rng(seed)
    visible, thermal = np.zeros((2, SIZE[1], SIZE[0]), np.uint8)
    for _ in range(120):
        corner, extent = rng.integers(-20, SIZE, 2), rng.integers(8, 50, 2)
        for picture in (visible, thermal):
            grey = int(rng.integers(0, 256))
            cv2.rectangle(picture, corner.tolist(), (corner + extent).tolist(), grey, -1)
    return cv2.GaussianBlur(visible, (0, 0), 0.8), cv2.GaussianBlur(thermal, (0, 0), 1.5)


def test_a_known_homography_is_found_between_pictures_of_unlike_greys() -> None:
    found = look(warped([pair(1), pair(2)], MATRIX))
    assert corner_error_px(found.matrix, MATRIX, SIZE) < 2.0  # at 640 wide: 0.75 pixels here
    assert found.corner_deviation_px < 3.0


def test_what_has_something_to_see_in_one_half_alone_is_told_to_be_unsure() -> None:
    rng = np.random.default_rng(0)

    def half_empty(picture: np.ndarray) -> np.ndarray:
        picture = picture.copy()
        picture[:, SIZE[0] * 2 // 5 :] = 90
        return (picture + rng.normal(0, 2, picture.shape)).clip(0, 255).astype(np.uint8)

    whole = [pair(1), pair(2)]
    half = [(half_empty(v), half_empty(t)) for v, t in whole]
    assert look(half).corner_deviation_px > 3 * look(whole).corner_deviation_px


def test_it_looks_at_pairs_that_the_calibration_does_not_get() -> None:
    pairs = [pair(n) for n in range(16)]
    assert not {id(p) for p in unseen(pairs)} & {id(p) for p in every_other(pairs)}
    assert len(unseen(pairs[:8])) == 8  # too few to share out


def test_the_table_has_homographies_near_none() -> None:
    for rig, said in witnesses().items():
        assert corner_error_px(said.matrix, np.eye(3), (640, 480)) < 12, rig
        assert said.corner_deviation_px > 0, rig
