# SPDX-License-Identifier: Apache-2.0
"""`Scene`: images of the street at a time, for two aligned cameras."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np

from fusion_ros.synthetic.actors import (
    CAR,
    IN_THE_DARK,
    IN_THE_GLARE,
    IN_THE_LIGHT,
    IN_THE_SMOKE,
)
from fusion_ros.synthetic.backdrop import paint_backdrop
from fusion_ros.synthetic.effects import PARKED_HEADLIGHTS, Glare, Steam
from fusion_ros.synthetic.geometry import Part, View, fill

MIN_SIDE, MAX_SIDE = 32, 4096
STEAM_CELSIUS, STEAM_INFRARED_OPACITY = 14.0, 0.22
STEAM_COLOUR = (138.0, 131.0, 128.0, 0.0)
_NOISE_MARGIN = 64


class Scene:
    """A street at dusk, `width` x `height` pixels.

    Both cameras share one place, so the images are aligned. Use a second scene for a thermal camera
    of another size. The same `seed`, size and time always give the same pixels.

    Args:
        width, height: image size in pixels, 32 to 4096.
        seed: seed of skyline, leaves and sensor noise.
        noise: 1: noise of usual sensors, 0: none.

    Raises:
        ValueError: a size or the noise is out of range.
    """

    def __init__(self, width: int = 640, height: int = 480, *, seed: int = 7, noise: float = 1.0):
        for name, value in (("width", width), ("height", height)):
            if not MIN_SIDE <= value <= MAX_SIDE:
                raise ValueError(f"{name} is {value}, allowed is {MIN_SIDE} to {MAX_SIDE} pixels")
        if noise < 0:
            raise ValueError(f"noise is {noise}, allowed is 0 or more")
        self._view = View(width, height)
        self._seed = seed
        self._noise = noise
        self._backdrop = paint_backdrop(self._view, seed)
        rng = np.random.default_rng((seed, 1))
        self._steam = Steam(self._view, rng)
        self._parked_glare = Glare(self._view, 0.21, 0.95)
        self._glare = Glare(self._view, 0.15, 0.8)
        padded = (height + _NOISE_MARGIN, width + _NOISE_MARGIN)
        # Drawn once, then shifted: new noise for each frame would cost more than all else. Brighter
        # and darker grain are kept apart, because adding bytes is much faster than int16.
        grain = np.rint(rng.normal(0, 3.2 * noise, (*padded, 3)))
        self._brighter = np.clip(grain, 0, 255).astype(np.uint8)
        self._darker = np.clip(-grain, 0, 255).astype(np.uint8)
        self._netd = rng.normal(0, 6.0 * noise, padded).astype(np.float32)
        columns = rng.normal(0, 3.5 * noise, width).astype(np.float32)
        self._columns = np.ascontiguousarray(np.broadcast_to(columns, (height, width)))
        self._street_counts = _centikelvin(self._backdrop.celsius)

    def visible(self, seconds: float) -> np.ndarray:
        """Return the RGB image at a time: uint8 HxWx3."""
        image = self._backdrop.visible.copy()
        self._place(image, IN_THE_GLARE.parts(seconds))
        for lamp in PARKED_HEADLIGHTS:
            self._parked_glare.add(image, lamp)
        self._place(image, IN_THE_DARK.parts(seconds))
        self._place(image, IN_THE_LIGHT.parts(seconds))
        self._place(image, IN_THE_SMOKE.parts(seconds))
        self._hide_behind_steam(image, seconds)
        self._place(image, CAR.parts(seconds))
        self._glare.add(image, CAR.headlight(seconds))
        if self._noise:
            cv2.add(image, self._shifted(self._brighter, seconds), dst=image)
            cv2.subtract(image, self._shifted(self._darker, seconds), dst=image)
        return image

    def thermal(self, seconds: float) -> np.ndarray:
        """Return the thermal image at a time: uint16 HxW, centikelvin."""
        counts = self._street_counts.copy()
        for actor in (IN_THE_GLARE, IN_THE_DARK, IN_THE_LIGHT, IN_THE_SMOKE):
            self._warm(counts, actor.parts(seconds))
        steam = self._steam.at(seconds)
        if steam is not None:
            density, _, (top, bottom, left, right) = steam
            patch = counts[top:bottom, left:right]
            patch += (_centikelvin(STEAM_CELSIUS) - patch) * (STEAM_INFRARED_OPACITY * density)
        self._warm(counts, CAR.parts(seconds))
        # The optics of a thermal camera are soft: about one pixel at 640 columns.
        counts = cv2.GaussianBlur(counts, (0, 0), max(0.5, 0.0016 * self._view.width))
        if self._noise:
            counts += self._shifted(self._netd, seconds + 0.5)
        return cv2.add(counts, self._columns, dtype=cv2.CV_16U)

    def _place(self, image: np.ndarray, parts: list[Part]) -> None:
        """Paint parts into the image, in the light at their place."""
        outlines = np.concatenate([part.outline for part in parts])
        box = self._view.box(outlines)
        if box is None:
            return
        top, bottom, left, right = box
        layer = np.zeros((bottom - top, right - left, 3), np.uint8)
        glow = np.zeros_like(layer)
        cover = np.zeros(layer.shape[:2], np.uint8)
        fixed = self._view.fixed_point(outlines, (top, left))
        for part, points in zip(parts, _split(fixed, parts), strict=True):
            r, g, b = part.albedo
            fill(layer, points, (255 * r, 255 * g, 255 * b))
            fill(cover, points, 255)
            if any(part.glow):
                r, g, b = part.glow
                fill(glow, points, (255 * r, 255 * g, 255 * b))
        patch = image[top:bottom, left:right]
        # `layer` and `cover` fade alike at the edges, so `layer` is premultiplied.
        lit = cv2.multiply(layer, self._backdrop.light[top:bottom, left:right], dtype=cv2.CV_8U)
        behind = cv2.multiply(patch, cv2.merge([255 - cover] * 3), scale=1 / 255)
        cv2.add(behind, cv2.add(lit, glow), dst=patch)

    def _warm(self, counts: np.ndarray, parts: list[Part]) -> None:
        fixed = self._view.fixed_point(np.concatenate([part.outline for part in parts]))
        for part, points in zip(parts, _split(fixed, parts), strict=True):
            fill(counts, points, _centikelvin(part.celsius))

    def _hide_behind_steam(self, image: np.ndarray, seconds: float) -> None:
        steam = self._steam.at(seconds)
        if steam is None:
            return
        density, brightness, (top, bottom, left, right) = steam
        patch = image[top:bottom, left:right]
        thick = cv2.merge([density] * 3)
        lit = cv2.merge([density * brightness] * 3)
        # The stubs of OpenCV do not know that a tuple is a Scalar.
        steam_itself = cv2.multiply(lit, STEAM_COLOUR)  # type: ignore[call-overload]
        behind = cv2.multiply(patch, 1.0 - thick, dtype=cv2.CV_32F)
        cv2.add(behind, steam_itself, dst=patch, dtype=cv2.CV_8U)

    def _shifted(self, noise: np.ndarray, seconds: float) -> np.ndarray:
        """Return the noise of this time: another crop of the same noise image."""
        moment = round(seconds * 1e6) & 0xFFFFFFFF
        mixed = (moment * 2654435761 + self._seed * 40503) & 0xFFFFFFFF
        top, left = mixed % _NOISE_MARGIN, (mixed >> 12) % _NOISE_MARGIN
        return noise[top : top + self._view.height, left : left + self._view.width]


def _split(points: np.ndarray, parts: list[Part]) -> Iterator[np.ndarray]:
    """Yield the points of each part; all were converted at once, for speed."""
    first = 0
    for part in parts:
        last = first + len(part.outline)
        yield points[first:last]
        first = last


def _centikelvin(celsius: Any) -> Any:
    return (celsius + 273.15) * 100.0
