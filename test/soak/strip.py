# SPDX-License-Identifier: Apache-2.0
"""A number in an image that remains readable after fusion and identifies the fused frames.

Each bit is a pair of blocks: "bright, dark" for 1, "dark, bright" for 0. The comparison of both
blocks is independent of tone curve and network. The visible camera writes to the upper strip and
the thermal one to the lower strip; each leaves the other strip uniform, so the fused image holds
both numbers.
"""

from __future__ import annotations

import numpy as np

BITS = 20
BLOCK = 16
#: Least width of an image with a number, in pixels.
WIDTH = 2 * BITS * BLOCK
VISIBLE_ROW, THERMAL_ROW = 0, 2 * BLOCK
#: Rows of both strips at the top.
HEIGHT = 4 * BLOCK
_INSET = 4
_LEAST_CONTRAST = 12.0


def write(pixels: np.ndarray, number: int, row: int, *, dark: float, bright: float) -> None:
    """Draw a number into the strip at a row, in place.

    Args:
        pixels: HxW or HxWxC, at least `WIDTH` wide.
        number: 0 to 2**20 - 1.
        row: `VISIBLE_ROW` or `THERMAL_ROW`.
        dark: level of dark blocks; the other strip has the mean of both levels.
        bright: level of bright blocks.
    """
    pixels[:HEIGHT, :WIDTH] = (dark + bright) / 2
    for bit in range(BITS):
        left = 2 * bit * BLOCK
        levels = (bright, dark) if number >> bit & 1 else (dark, bright)
        for level in levels:
            pixels[row : row + 2 * BLOCK, left : left + BLOCK] = level
            left += BLOCK


def read(pixels: np.ndarray, row: int) -> int | None:
    """Read the number of a strip; return None if a bit has no contrast."""
    grey = pixels.mean(axis=2) if pixels.ndim == 3 else pixels
    if grey.shape[0] < HEIGHT or grey.shape[1] < WIDTH:
        return None
    strip = grey[row + _INSET : row + 2 * BLOCK - _INSET, :WIDTH].astype(np.float64)
    blocks = strip.reshape(len(strip), 2 * BITS, BLOCK)[:, :, _INSET:-_INSET].mean(axis=(0, 2))
    contrast = blocks[0::2] - blocks[1::2]
    if np.abs(contrast).min() < _LEAST_CONTRAST:
        return None
    return int(sum(1 << bit for bit in range(BITS) if contrast[bit] > 0))
