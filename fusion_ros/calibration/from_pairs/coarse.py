# SPDX-License-Identifier: Apache-2.0
"""A first guess of how the thermal picture lies on the visible one: scale, turn and shift."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from fusion_ros.registration.structure import structure

WORK_WIDTH = 160
SCALES = tuple(float(s) for s in np.geomspace(0.72, 1.39, 16))
TURNS_DEG = (-3.6, -1.8, 0.0, 1.8, 3.6)
LARGEST_SHIFT = 0.18
"""As a share of the width: what the search looks through either way."""


@dataclass(frozen=True, eq=False)
class CoarseGuess:
    """A similarity that takes thermal pixels to visible ones (both at working size)."""

    matrix: np.ndarray
    score: float
    """Normalised correlation at the best place, 0..1."""
    margin: float
    """How much better than the best place elsewhere, as a share of the score."""


def search(
    visible: Sequence[np.ndarray],
    thermal: Sequence[np.ndarray],
    scales: Sequence[float] = SCALES,
    turns_deg: Sequence[float] = TURNS_DEG,
) -> CoarseGuess:
    """The best scale, turn and shift over all pairs (`float32` HxW, all of one size).

    The correlation of the two structures is taken for all shifts at once by Fourier transform,
    added up over the pairs, and divided by the energy in the overlap.
    """
    height, width = visible[0].shape
    shape = (cv2.getOptimalDFTSize(2 * height), cv2.getOptimalDFTSize(2 * width))
    seen = [structure(v) for v in visible]
    forward = [_transform(z, shape) for z in seen]
    energy = _transform(sum(np.abs(z) ** 2 for z in seen), shape)
    whole = _transform(np.ones((height, width), np.float32), shape)
    reach_y, reach_x = round(LARGEST_SHIFT * width), round(LARGEST_SHIFT * width)
    found = []
    for scale in scales:
        for turn in turns_deg:
            matrix = np.vstack(
                (
                    cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), turn, scale),
                    [0, 0, 1],
                )
            )
            inside = cv2.warpAffine(
                np.ones((height, width), np.float32), matrix[:2], (width, height)
            )
            inside = cv2.erode((inside > 0.99).astype(np.float32), np.ones((5, 5)))
            cross, own = 0, 0
            for picture, spectrum in zip(thermal, forward, strict=True):
                moved = cv2.warpAffine(
                    picture, matrix[:2], (width, height), borderMode=cv2.BORDER_REPLICATE
                )
                z = structure(moved) * inside
                cross = cross + spectrum * np.conj(_transform(z, shape))
                own = own + np.abs(z) ** 2
            surface = np.fft.ifft2(cross).real
            e_visible = np.fft.ifft2(energy * np.conj(_transform(inside, shape))).real
            e_thermal = np.fft.ifft2(
                whole * np.conj(_transform(own.astype(np.float32), shape))
            ).real
            floor = (
                0.02 * max(float(e_visible.max()), 1e-9),
                0.02 * max(float(e_thermal.max()), 1e-9),
            )
            score = surface / np.sqrt(
                np.maximum(e_visible, floor[0]) * np.maximum(e_thermal, floor[1])
            )
            window = np.roll(score, (reach_y, reach_x), (0, 1))[
                : 2 * reach_y + 1, : 2 * reach_x + 1
            ]
            row, column = np.unravel_index(int(window.argmax()), window.shape)
            shift = np.array([[1, 0, column - reach_x], [0, 1, row - reach_y], [0, 0, 1.0]])
            found.append((float(window[row, column]), shift @ matrix))
    found.sort(key=lambda entry: -entry[0])
    best_score, best = found[0]
    elsewhere = [s for s, m in found[1:] if _corner_distance(m, best, width, height) > 0.08 * width]
    margin = 1 - elsewhere[0] / best_score if elsewhere and best_score > 0 else 1.0
    return CoarseGuess(best, best_score, margin)


def _transform(field: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return np.fft.fft2(field, s=shape)


def _corner_distance(a: np.ndarray, b: np.ndarray, width: int, height: int) -> float:
    corners = np.array([[0, 0, 1], [width, 0, 1], [width, height, 1], [0, height, 1.0]]).T
    pa, pb = a @ corners, b @ corners
    return float(np.linalg.norm(pa[:2] / pa[2] - pb[:2] / pb[2], axis=0).mean())
