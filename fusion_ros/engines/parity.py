# SPDX-License-Identifier: Apache-2.0
"""Comparison of a built engine's image with the network's image on one pair."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Parity:
    """Difference between two images, in grey levels."""

    max_error: float
    mean_error: float

    def __str__(self) -> str:
        return f"max {self.max_error:.0f}, mean {self.mean_error:.2f} grey levels"


#: Largest allowed (max, mean) error in grey levels by precision. A mean of a tenth is rounding;
#: bfloat16 resolves 256 levels, but not the sums of products within a layer. int8 was measured with
#: at most 7 and 0.59 for `compact` at sizes from 131x95 to 1280x1024.
ALLOWED = {"float32": (1, 0.1), "float16": (4, 0.3), "bfloat16": (6, 0.5), "int8": (10, 1.0)}


def golden_pair(height: int, width: int, visible_channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a pair of ramps, edges, a hot spot and noise that covers all grey levels.

    It is computed with integers only and is therefore identical on every machine.
    """
    y, x = np.mgrid[0:height, 0:width]
    noise = (x * 1103 + y * 3571 + x * y * 17) % 61
    thermal = np.where((x // 40 + y // 30) % 3 == 0, 190, 50) + noise - 30
    hot = (x - width // 3) ** 2 + (y - height // 2) ** 2 < (min(height, width) // 6) ** 2
    thermal = np.where(hot, 250, thermal)
    planes = [(x * (channel + 2) * 128 // width + y + noise) % 256 for channel in range(3)]
    visible = np.stack(planes[:visible_channels], axis=-1).astype(np.uint8)
    return (
        visible[..., 0].copy() if visible_channels == 1 else visible,
        np.clip(thermal, 0, 255).astype(np.uint8),
    )


def compare(got: np.ndarray, wanted: np.ndarray) -> Parity:
    """Compare two `uint8` images of one shape."""
    difference = np.abs(got.astype(np.float64) - wanted)
    return Parity(float(difference.max()), float(difference.mean()))


def is_good_enough(parity: Parity, precision: str) -> bool:
    """Return whether the error is within the limits of the precision."""
    most, mean = ALLOWED[precision]
    return parity.max_error <= most and parity.mean_error <= mean
