# SPDX-License-Identifier: Apache-2.0
"""A number in an image that survives fusion: proves which frames a fused image is made of.

Each bit is two blocks side by side, one of them bright: "bright, dark" for 1, "dark, bright" for 0.
Comparing neighbours decodes the bit whatever the tone curve and the network make of both. The
visible camera writes into the upper strip and the thermal one into the lower strip; each leaves the
other's strip plain, so that both numbers are in the fused image.
"""

from __future__ import annotations

import numpy as np

BITS = 20
BLOCK = 16
WIDTH = 2 * BITS * BLOCK
"""Least width of an image that holds a number, in pixels."""
VISIBLE_ROW, THERMAL_ROW = 0, 2 * BLOCK
HEIGHT = 4 * BLOCK
"""Rows at the top that belong to the strips."""
_INSET = 4
_LEAST_CONTRAST = 12.0


def write(pixels: np.ndarray, number: int, row: int, *, dark: float, bright: float) -> None:
    """Draw a number into the strip at a row, in place.

    Args:
        pixels: HxW or HxWxC, at least `WIDTH` wide.
        number: 0 to 2**20 - 1.
        row: `VISIBLE_ROW` or `THERMAL_ROW`.
        dark, bright: levels of the blocks; the other strip gets their mean.
    """
    pixels[:HEIGHT, :WIDTH] = (dark + bright) / 2
    for bit in range(BITS):
        left = 2 * bit * BLOCK
        levels = (bright, dark) if number >> bit & 1 else (dark, bright)
        for level in levels:
            pixels[row : row + 2 * BLOCK, left : left + BLOCK] = level
            left += BLOCK


def read(pixels: np.ndarray, row: int) -> int | None:
    """Read the number of a strip; None where a bit has no contrast."""
    grey = pixels.mean(axis=2) if pixels.ndim == 3 else pixels
    if grey.shape[0] < HEIGHT or grey.shape[1] < WIDTH:
        return None
    strip = grey[row + _INSET : row + 2 * BLOCK - _INSET, :WIDTH].astype(np.float64)
    blocks = strip.reshape(len(strip), 2 * BITS, BLOCK)[:, :, _INSET:-_INSET].mean(axis=(0, 2))
    contrast = blocks[0::2] - blocks[1::2]
    if np.abs(contrast).min() < _LEAST_CONTRAST:
        return None
    return int(sum(1 << bit for bit in range(BITS) if contrast[bit] > 0))
