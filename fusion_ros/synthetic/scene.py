# SPDX-License-Identifier: Apache-2.0
"""`Scene`: the street at a moment, as each of two aligned cameras sees it."""

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

    Both cameras stand at the same place, so the pictures lie on each other; give the thermal camera
    a scene of its own size. The same `seed`, size and time always give the same pixels.

    Args:
        width, height: size of the pictures in pixels, 32 to 4096.
        seed: of everything random: the skyline, the leaves, the noise of the sensors.
        noise: 1 for the noise of usual sensors, 0 for none.

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
        # Drawn once, then shifted about: fresh noise for each frame would cost more than the rest.
        # Brighter and darker grain apart, because adding bytes is many times faster than int16.
        grain = np.rint(rng.normal(0, 3.2 * noise, (*padded, 3)))
        self._brighter = np.clip(grain, 0, 255).astype(np.uint8)
        self._darker = np.clip(-grain, 0, 255).astype(np.uint8)
        self._netd = rng.normal(0, 6.0 * noise, padded).astype(np.float32)
        columns = rng.normal(0, 3.5 * noise, width).astype(np.float32)
        self._columns = np.ascontiguousarray(np.broadcast_to(columns, (height, width)))
        self._street_counts = _centikelvin(self._backdrop.celsius)

    def visible(self, seconds: float) -> np.ndarray:
        """What the RGB camera sees at a time of the scene: uint8 HxWx3, RGB."""
        picture = self._backdrop.visible.copy()
        self._place(picture, IN_THE_GLARE.parts(seconds))
        for lamp in PARKED_HEADLIGHTS:
            self._parked_glare.add(picture, lamp)
        self._place(picture, IN_THE_DARK.parts(seconds))
        self._place(picture, IN_THE_LIGHT.parts(seconds))
        self._place(picture, IN_THE_SMOKE.parts(seconds))
        self._hide_behind_steam(picture, seconds)
        self._place(picture, CAR.parts(seconds))
        self._glare.add(picture, CAR.headlight(seconds))
        if self._noise:
            cv2.add(picture, self._shifted(self._brighter, seconds), dst=picture)
            cv2.subtract(picture, self._shifted(self._darker, seconds), dst=picture)
        return picture

    def thermal(self, seconds: float) -> np.ndarray:
        """What the thermal camera sees at a time of the scene: uint16 HxW, centikelvin."""
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

    def _place(self, picture: np.ndarray, parts: list[Part]) -> None:
        """Paint parts into the picture, in the light that falls where they are."""
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
        patch = picture[top:bottom, left:right]
        # `layer` fades to black at its edges just as `cover` fades, so it is premultiplied.
        lit = cv2.multiply(layer, self._backdrop.light[top:bottom, left:right], dtype=cv2.CV_8U)
        behind = cv2.multiply(patch, cv2.merge([255 - cover] * 3), scale=1 / 255)
        cv2.add(behind, cv2.add(lit, glow), dst=patch)

    def _warm(self, counts: np.ndarray, parts: list[Part]) -> None:
        fixed = self._view.fixed_point(np.concatenate([part.outline for part in parts]))
        for part, points in zip(parts, _split(fixed, parts), strict=True):
            fill(counts, points, _centikelvin(part.celsius))

    def _hide_behind_steam(self, picture: np.ndarray, seconds: float) -> None:
        steam = self._steam.at(seconds)
        if steam is None:
            return
        density, brightness, (top, bottom, left, right) = steam
        patch = picture[top:bottom, left:right]
        thick = cv2.merge([density] * 3)
        steam_itself = cv2.multiply(cv2.merge([density * brightness] * 3), STEAM_COLOUR)
        behind = cv2.multiply(patch, 1.0 - thick, dtype=cv2.CV_32F)
        cv2.add(behind, steam_itself, dst=patch, dtype=cv2.CV_8U)

    def _shifted(self, noise: np.ndarray, seconds: float) -> np.ndarray:
        """The noise of this moment: the same sheet from another corner."""
        moment = round(seconds * 1e6) & 0xFFFFFFFF
        mixed = (moment * 2654435761 + self._seed * 40503) & 0xFFFFFFFF
        top, left = mixed % _NOISE_MARGIN, (mixed >> 12) % _NOISE_MARGIN
        return noise[top : top + self._view.height, left : left + self._view.width]


def _split(points: np.ndarray, parts: list[Part]) -> Iterator[np.ndarray]:
    """Points of all parts in a row, handed out part by part: one conversion is enough for all."""
    first = 0
    for part in parts:
        last = first + len(part.outline)
        yield points[first:last]
        first = last


def _centikelvin(celsius: Any) -> Any:
    return (celsius + 273.15) * 100.0
