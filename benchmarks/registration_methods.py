# SPDX-License-Identifier: Apache-2.0
"""Other ways to refine the same first guess, to choose between by measurement.

Each takes pairs and answers a homography from thermal to visible pixels, at the pairs' own size.
"""

from __future__ import annotations

import cv2
import numpy as np

from fusion_ros.calibration import coarse, from_pairs
from fusion_ros.imaging.geometry import Size
from fusion_ros.imaging.structure import equalised

_WIDTH = 320


def refined(pairs: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, np.ndarray]:
    """Way to homography."""
    visible_size, thermal_size = Size.of(pairs[0][0].shape), Size.of(pairs[0][1].shape)
    guess, _ = from_pairs._first_guess(
        pairs, visible_size, thermal_size, coarse.SCALES, coarse.TURNS_DEG, lambda text: None
    )
    size = (_WIDTH, round(_WIDTH * visible_size.height / visible_size.width))
    to_work = visible_size.scaling_to(Size(*size))
    from_thermal = thermal_size.scaling_to(Size(*size))
    small = [
        tuple(equalised(cv2.resize(p, size, interpolation=cv2.INTER_AREA)) for p in pair)
        for pair in pairs
    ]
    start = to_work @ guess @ np.linalg.inv(from_thermal)
    ways = {
        "first guess alone": start,
        "ECC on gradient strength": _ecc(small, start),
        "phase correlation on edges": _phase(small, start),
        "mutual information, coordinate search": _mutual_information(small, start),
    }
    back = np.linalg.inv(to_work)
    found = {way: back @ matrix @ from_thermal for way, matrix in ways.items()}
    ours = from_pairs.estimate(pairs).calibration.matrix
    found["cells of edge direction, together, then what most agree on (ours)"] = ours
    return found


def _strength(picture: np.ndarray) -> np.ndarray:
    smooth = cv2.GaussianBlur(picture, (0, 0), 1.0)
    return cv2.magnitude(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1))


def _ecc(pairs: list, start: np.ndarray) -> np.ndarray:
    """OpenCV's ECC on the gradient strength, pair by pair; the median of the corners counts."""
    height, width = pairs[0][0].shape
    corners = np.array([[[0, 0], [width, 0], [width, height], [0, height]]], np.float32)
    until = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 60, 1e-5)
    ends = []
    for visible, thermal in pairs:
        inverse = np.linalg.inv(start).astype(np.float32)
        try:
            _, inverse = cv2.findTransformECC(
                _strength(visible), _strength(thermal), inverse / inverse[2, 2],
                cv2.MOTION_HOMOGRAPHY, until, None, 5,
            )  # fmt: skip
        except cv2.error:
            continue  # it did not converge
        ends.append(cv2.perspectiveTransform(corners, np.linalg.inv(inverse))[0])
    if not ends:
        return start
    return cv2.getPerspectiveTransform(corners[0], np.median(ends, axis=0).astype(np.float32))


def _phase(pairs: list, start: np.ndarray) -> np.ndarray:
    """Phase correlation of edges: the shift alone, median over the pairs."""
    height, width = pairs[0][0].shape
    window = cv2.createHanningWindow((width, height), cv2.CV_32F)
    shifts = []
    for visible, thermal in pairs:
        moved = cv2.warpPerspective(
            thermal, start, (width, height), borderMode=cv2.BORDER_REPLICATE
        )
        shifts.append(cv2.phaseCorrelate(_strength(moved), _strength(visible), window)[0])
    x, y = np.median(shifts, axis=0)
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]]) @ start


def _mutual_information(pairs: list, start: np.ndarray) -> np.ndarray:
    """Mutual information of the greys, by trying steps of each of the eight degrees of freedom."""
    height, width = pairs[0][0].shape
    some = [(v.astype(np.uint8) >> 3, t) for v, t in pairs[::2]]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    moved = cv2.perspectiveTransform(corners[None], start)[0].astype(np.float32)

    def score(ends: np.ndarray) -> float:
        matrix = cv2.getPerspectiveTransform(corners, ends.astype(np.float32))
        total = 0.0
        for visible, thermal in some:
            sampled = cv2.warpPerspective(thermal, matrix, (width, height), borderValue=-1)
            inside = sampled >= 0
            pairs_of_greys = visible[inside].astype(np.int64) * 32 + (sampled[inside] / 8).astype(
                int
            )
            joint = (
                np.bincount(pairs_of_greys, minlength=1024)[:1024].reshape(32, 32) / inside.sum()
            )
            apart = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
            some_there = joint > 0
            total += float(
                (joint[some_there] * np.log(joint[some_there] / apart[some_there])).sum()
            )
        return total

    best = score(moved)
    for step in (4.0, 2.0, 1.0, 0.5):
        for _ in range(2):
            tried = [np.tile([dx, dy], (4, 1)) for dx, dy in ((step, 0), (0, step))]
            for corner in range(4):
                for axis in range(2):
                    one = np.zeros((4, 2))
                    one[corner, axis] = step
                    tried.append(one)
            for change in (*tried, *[-t for t in tried]):
                reached = score(moved + change)
                if reached > best:
                    best, moved = reached, moved + change
    return cv2.getPerspectiveTransform(corners, moved.astype(np.float32))
