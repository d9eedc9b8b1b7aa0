# SPDX-License-Identifier: Apache-2.0
"""The thermal frame on the visible camera's grid."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

MODES = ("none", "resize")


@dataclass(frozen=True)
class RegistrationOptions:
    """How the thermal frame comes onto the visible grid.

    Raises:
        ValueError: an unknown mode.
    """

    mode: str = "resize"
    """`none`: the sizes must be the same. `resize`: the thermal picture is stretched."""

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"mode is {self.mode!r}; allowed are {', '.join(MODES)}")


class ThermalRegistration:
    """Brings `uint8` thermal frames onto the visible grid; keeps what depends on the two sizes."""

    def __init__(self, options: RegistrationOptions | None = None) -> None:
        self.options = options or RegistrationOptions()

    def validity(
        self, thermal_shape: tuple[int, int], visible_shape: tuple[int, int]
    ) -> np.ndarray | None:
        """How much of the thermal picture each visible pixel may use, `float32` HxW in 0..1.

        None where that is everything everywhere.
        """
        return None

    def __call__(self, thermal: np.ndarray, visible_shape: tuple[int, ...]) -> np.ndarray:
        """`thermal` (`uint8` HxW) with the height and width of `visible_shape`.

        Raises:
            ValueError: mode `none` and sizes that differ.
        """
        height, width = visible_shape[:2]
        if thermal.shape == (height, width):
            return thermal
        if self.options.mode == "none":
            raise ValueError(
                f"the thermal frame is {thermal.shape[1]} x {thermal.shape[0]} and the visible one "
                f"{width} x {height}; mode `none` needs equal sizes, mode `resize` stretches"
            )
        shrinks = thermal.shape[0] > height or thermal.shape[1] > width
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        return cv2.resize(thermal, (width, height), interpolation=interpolation)
