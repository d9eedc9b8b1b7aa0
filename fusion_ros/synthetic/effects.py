# SPDX-License-Identifier: Apache-2.0
"""Effects that hide objects from one camera: glare of headlights, and drifting steam."""

from __future__ import annotations

import cv2
import numpy as np

from fusion_ros.synthetic.geometry import View

PARKED_HEADLIGHTS = ((0.713, 0.634), (0.778, 0.634))
VENT = (0.905, 0.722)
_STEAM_TOP, _STEAM_LEFT, _STEAM_RIGHT = 0.30, 0.84, 1.10


def cloudiness(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Return smooth fractal noise, float32 0 to 1, that tiles in both directions."""
    total = np.zeros((height, width), np.float32)
    for octave in range(5):
        cells = 4 << octave
        coarse = rng.random((cells, cells)).astype(np.float32)
        wrapped = np.pad(coarse, 2, mode="wrap")
        step = np.array([height, width]) / cells
        y, x = (np.arange(n) / s + 1.5 for n, s in zip((height, width), step, strict=True))
        map_x, map_y = np.meshgrid(x.astype(np.float32), y.astype(np.float32))
        total += cv2.remap(wrapped, map_x, map_y, cv2.INTER_CUBIC) / (1 << octave)
    low, high = np.percentile(total, (1, 99))
    return np.clip((total - low) / (high - low), 0, 1)


class Glare:
    """Glare of a light: a core, a wide veil and a streak."""

    def __init__(self, view: View, radius: float, strength: float) -> None:
        self._view = view
        self._reach = max(2, round(radius * view.scale))
        axis = np.arange(-self._reach, self._reach + 1, dtype=np.float32) / self._reach
        distance = np.hypot(axis[None, :], axis[:, None])
        veil = np.exp(-((distance / 0.34) ** 2)) + 0.35 * np.exp(-((distance / 0.12) ** 2))
        streak = np.exp(-np.abs(axis[:, None]) / 0.02) * np.exp(-np.abs(axis[None, :]) / 0.4)
        light = (veil + 0.5 * streak) * np.clip(4 * (1 - distance), 0, 1) * strength
        tint = np.array([255.0, 246.0, 222.0], np.float32)
        self._sprite = np.clip(light[..., None] * tint, 0, 255).astype(np.uint8)

    def add(self, image: np.ndarray, where: tuple[float, float]) -> None:
        """Brighten an image (uint8 HxWx3) around a place of the world."""
        column, row = np.rint(self._view.pixels(np.array([where]))[0]).astype(int)
        reach = self._reach
        top, left = max(0, row - reach), max(0, column - reach)
        bottom = min(image.shape[0], row + reach + 1)
        right = min(image.shape[1], column + reach + 1)
        if top >= bottom or left >= right:
            return
        sprite = self._sprite[
            top - row + reach : bottom - row + reach, left - column + reach : right - column + reach
        ]
        patch = image[top:bottom, left:right]
        cv2.add(patch, sprite, dst=patch)


class Steam:
    """Steam from a vent: opaque in visible light, nearly transparent in the infrared."""

    def __init__(self, view: View, rng: np.random.Generator) -> None:
        corners = np.array([(_STEAM_LEFT, _STEAM_TOP), (_STEAM_RIGHT, VENT[1] + 0.01)])
        self._box = view.box(corners, margin=0)
        if self._box is None:
            return
        top, bottom, left, right = self._box
        x, y = view.grid()
        x, y = x[:, left:right], y[top:bottom]
        rise = np.clip((VENT[1] - y) / (VENT[1] - _STEAM_TOP), 0, 1)
        middle = VENT[0] + 0.03 + 0.065 * rise
        width = 0.034 + 0.075 * rise**0.7
        self._shape = np.exp(-(((x - middle) / width) ** 4)) * np.clip(2.2 * (1 - rise), 0, 1)
        self._shape *= np.clip(40 * (VENT[1] - y), 0, 1) * (1.35 - 0.85 * rise)
        self._texture = cloudiness(512, max(8, right - left), rng)[:, : right - left]
        self._texture = np.vstack([self._texture, self._texture])
        self._pixels_per_second = 0.11 * view.scale

    def at(self, seconds: float) -> tuple[np.ndarray, np.ndarray, tuple[int, int, int, int]] | None:
        """Return density and brightness (float32, 0 to 1) and their box; None out of view.

        The box is (top, bottom, left, right) in pixels.
        """
        if self._box is None:
            return None
        height = self._box[1] - self._box[0]
        rows = (np.arange(height) + int(seconds * self._pixels_per_second)) % 512
        texture = self._texture[rows]
        density = np.clip(self._shape * (0.74 + 0.8 * texture), 0, 0.98)
        return density, 0.55 + 0.45 * texture, self._box
