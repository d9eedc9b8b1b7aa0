# SPDX-License-Identifier: Apache-2.0
"""How well the thermal picture lies on the visible one, from the edges that both show."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from fusion_ros.imaging.structure import structure

WORK_WIDTH = 320
REACH_SHARE = 0.1
"""Largest shift that is looked for, as a share of the width."""


@dataclasses.dataclass(frozen=True)
class Alignment:
    """Agreement of edges as they lie, and where they would agree best.

    Attributes:
        score: normalised agreement as the pictures lie, -1..1; about 0 where nothing fits.
        best_score: the same at the best shift.
        shift_x_px, shift_y_px: how far the thermal picture lies right of and below the visible
            one, in visible pixels.
        clear: whether the best place stands out, so that the shift means something.
    """

    score: float
    best_score: float
    shift_x_px: float
    shift_y_px: float
    clear: bool


def measure_alignment(visible: np.ndarray, thermal: np.ndarray) -> Alignment:
    """Compare two grey pictures (`uint8` HxW of one size) by the direction of their edges.

    All shifts at once, by Fourier transform at a quarter of a megapixel or less.
    """
    height, width = visible.shape
    scale = min(1.0, WORK_WIDTH / width)
    size = (max(32, round(width * scale)), max(32, round(height * scale)))
    a, b = (
        structure(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
        for picture in (visible, thermal)
    )
    energy = float(np.sqrt(np.vdot(a, a).real * np.vdot(b, b).real))
    if energy <= 0:
        return Alignment(0.0, 0.0, 0.0, 0.0, clear=False)
    shape = tuple(cv2.getOptimalDFTSize(2 * side) for side in a.shape)
    spectrum = np.fft.fft2(b, shape) * np.conj(np.fft.fft2(a, shape))
    surface = np.fft.ifft2(spectrum).real / energy
    reach = max(2, round(size[0] * REACH_SHARE))
    near = np.roll(surface, (reach, reach), (0, 1))[: 2 * reach + 1, : 2 * reach + 1]
    y, x = np.unravel_index(int(near.argmax()), near.shape)
    typical = float(np.median(near))
    spread = 1.4826 * float(np.median(np.abs(near - typical))) + 1e-9
    best = float(near[y, x])
    inside = 0 < x < 2 * reach and 0 < y < 2 * reach
    return Alignment(
        score=float(surface[0, 0]),
        best_score=best,
        shift_x_px=float((x - reach) / scale),
        shift_y_px=float((y - reach) / scale),
        clear=bool(inside and (best - typical) / spread > 6.0),
    )
