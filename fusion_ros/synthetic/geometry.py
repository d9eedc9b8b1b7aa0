# SPDX-License-Identifier: Apache-2.0
"""World coordinates, and shapes in them.

The world is 4/3 wide and 1 high, x to the right and y down. A camera of any size and aspect sees
its centre: the world is scaled until it covers the image, and the rest is cropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple

import cv2
import numpy as np

WORLD_WIDTH = 4.0 / 3.0
_SHIFT = 4  # cv2 draws at sixteenths of a pixel, so that slow motion is smooth
_HALF_TURN = np.exp(1j * np.linspace(np.pi / 2, 3 * np.pi / 2, 6))

Colour = tuple[float, float, float]


class Part(NamedTuple):
    """A flat part of a moving object."""

    outline: np.ndarray  # float Nx2, world coordinates
    albedo: Colour  # RGB, 0 to 1: share of the light that is reflected
    celsius: float
    glow: Colour = (0.0, 0.0, 0.0)  # RGB, 0 to 1: emitted light


@dataclass(frozen=True)
class View:
    """Maps the world to an image of `width` x `height` pixels."""

    width: int
    height: int

    @cached_property
    def scale(self) -> float:
        """Pixels per world unit."""
        return max(self.width / WORLD_WIDTH, float(self.height))

    @cached_property
    def origin(self) -> tuple[float, float]:
        """Pixel column and row of the world's corner."""
        scale = self.scale
        return (self.width - WORLD_WIDTH * scale) / 2.0, (self.height - scale) / 2.0

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """Convert world coordinates to pixels, both float Nx2."""
        return np.asarray(points) * self.scale + self.origin

    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        """Return world x and y of every pixel, float32, 1xW and Hx1."""
        x = (np.arange(self.width) + 0.5 - self.origin[0]) / self.scale
        y = (np.arange(self.height) + 0.5 - self.origin[1]) / self.scale
        return x.astype(np.float32)[None, :], y.astype(np.float32)[:, None]

    def box(self, points: np.ndarray, margin: int = 2) -> tuple[int, int, int, int] | None:
        """Return (top, bottom, left, right) of pixels around points; None outside the image."""
        pixels = self.pixels(points)
        left, top = np.floor(pixels.min(axis=0)).astype(int) - margin
        right, bottom = np.ceil(pixels.max(axis=0)).astype(int) + margin
        top, bottom = max(top, 0), min(bottom, self.height)
        left, right = max(left, 0), min(right, self.width)
        return (top, bottom, left, right) if top < bottom and left < right else None

    def fixed_point(self, outline: np.ndarray, origin: tuple[int, int] = (0, 0)) -> np.ndarray:
        """Return an outline for `fill`; pixels count from `origin` (top, left) of the image."""
        column, row = self.origin
        shift = np.array((column - origin[1] - 0.5, row - origin[0] - 0.5))
        return np.rint((outline * self.scale + shift) * (1 << _SHIFT)).astype(np.int32)


def shaded(colour: Colour, factor: float) -> Colour:
    """Return a colour times a factor."""
    r, g, b = colour
    return factor * r, factor * g, factor * b


def rectangle(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """Return the outline of a rectangle."""
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])


@cache
def _circle(count: int) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def ellipse(
    centre: np.ndarray | tuple[float, float], rx: float, ry: float, count: int = 20
) -> np.ndarray:
    """Return the outline of an ellipse as a polygon of `count` points."""
    return _circle(count) * (rx, ry) + centre


def limb(start: np.ndarray, end: np.ndarray, thick_start: float, thick_end: float) -> np.ndarray:
    """Return a tapered bar with round ends from `start` to `end`; thicknesses are diameters."""
    first, last = complex(start[0], start[1]), complex(end[0], end[1])
    along = (last - first) / abs(last - first)
    outline = np.empty(12, np.complex128)
    outline[:6] = _HALF_TURN * (along * (thick_start / 2)) + first
    outline[6:] = _HALF_TURN * (along * (thick_end / -2)) + last
    return outline.view(np.float64).reshape(12, 2)


def fill(canvas: np.ndarray, points: np.ndarray, value: float | Sequence[float]) -> None:
    """Fill an outline from `View.fixed_point`; smooth edges on uint8 canvases only."""
    smooth = cv2.LINE_AA if canvas.dtype == np.uint8 else cv2.LINE_8
    cv2.fillPoly(canvas, [points], value, lineType=smooth, shift=_SHIFT)
