# SPDX-License-Identifier: Apache-2.0
"""First guess of the thermal image's position on the visible one: scale, rotation and shift."""

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
"""Largest shift of the search in each direction, as a share of the width."""


@dataclass(frozen=True, eq=False)
class CoarseGuess:
    """A similarity from thermal pixels to visible ones (both at working size)."""

    matrix: np.ndarray
    score: float
    """Normalised correlation at the best position, 0..1."""
    margin: float
    """Lead of the best position over the best one elsewhere, as a share of the score."""


def search(
    visible: Sequence[np.ndarray],
    thermal: Sequence[np.ndarray],
    scales: Sequence[float] = SCALES,
) -> CoarseGuess:
    """Find the best scale, rotation and shift over all pairs (`float32` HxW, all of one size).

    A Fourier transform correlates the two structures for all shifts at once. The correlations are
    added over the pairs and divided by the energy in the overlap.
    """
    height, width = visible[0].shape
    scores = _Scores(visible, thermal)
    reach = round(LARGEST_SHIFT * width)
    found = []
    for scale in scales:
        for turn in TURNS_DEG:
            middle = ((width - 1) / 2, (height - 1) / 2)
            matrix = np.vstack((cv2.getRotationMatrix2D(middle, turn, scale), [0, 0, 1]))
            window = np.roll(scores(matrix), (reach, reach), (0, 1))
            window = window[: 2 * reach + 1, : 2 * reach + 1]
            row, column = np.unravel_index(int(window.argmax()), window.shape)
            shift = np.array([[1, 0, column - reach], [0, 1, row - reach], [0, 0, 1.0]])
            found.append((float(window[row, column]), shift @ matrix))
    found.sort(key=lambda entry: -entry[0])
    best_score, best = found[0]
    elsewhere = [s for s, m in found[1:] if _corner_distance(m, best, width, height) > 0.08 * width]
    margin = 1 - elsewhere[0] / best_score if elsewhere and best_score > 0 else 1.0
    return CoarseGuess(best, best_score, margin)


class _Scores:
    """Normalised correlation of visible and moved thermal images, for all shifts at once."""

    def __init__(self, visible: Sequence[np.ndarray], thermal: Sequence[np.ndarray]) -> None:
        height, width = visible[0].shape
        self._shape = (cv2.getOptimalDFTSize(2 * height), cv2.getOptimalDFTSize(2 * width))
        self._whole = np.ones((height, width), np.float32)
        self._whole_spectrum = self._transform(self._whole)
        self._thermal = thermal
        seen = [structure(v) for v in visible]
        self._spectra = [self._transform(z) for z in seen]
        self._energy = self._transform(np.sum([np.abs(z) ** 2 for z in seen], axis=0))

    def __call__(self, matrix: np.ndarray) -> np.ndarray:
        """Return the score of each shift (row and column modulo the size) after `matrix`."""
        size = self._whole.shape[::-1]
        inside = cv2.warpAffine(self._whole, matrix[:2], size)
        inside = cv2.erode((inside > 0.99).astype(np.float32), np.ones((5, 5)))
        cross = np.zeros_like(self._spectra[0])
        own = np.zeros_like(self._whole)
        for image, spectrum in zip(self._thermal, self._spectra, strict=True):
            moved = cv2.warpAffine(image, matrix[:2], size, borderMode=cv2.BORDER_REPLICATE)
            z = structure(moved) * inside
            cross += spectrum * np.conj(self._transform(z))
            own += np.abs(z) ** 2
        e_visible = np.fft.ifft2(self._energy * np.conj(self._transform(inside))).real
        e_thermal = np.fft.ifft2(self._whole_spectrum * np.conj(self._transform(own))).real
        energy = [np.maximum(e, 0.02 * max(float(e.max()), 1e-9)) for e in (e_visible, e_thermal)]
        return np.asarray(np.fft.ifft2(cross).real / np.sqrt(energy[0] * energy[1]))

    def _transform(self, field: np.ndarray) -> np.ndarray:
        return np.fft.fft2(field, s=self._shape)


def _corner_distance(a: np.ndarray, b: np.ndarray, width: int, height: int) -> float:
    corners = np.array([[0, 0, 1], [width, 0, 1], [width, height, 1], [0, height, 1.0]]).T
    pa, pb = a @ corners, b @ corners
    return float(np.linalg.norm(pa[:2] / pa[2] - pb[:2] / pb[2], axis=0).mean())
