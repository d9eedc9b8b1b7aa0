# SPDX-License-Identifier: Apache-2.0
"""An engine without a network, whose result can be foretold."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from fusion_ros.engines.engine import EngineDescription


def mean(visible: np.ndarray, thermal: np.ndarray) -> np.ndarray:
    """Return the mean of both images."""
    return cv2.addWeighted(visible, 0.5, thermal, 0.5, 0.0)


class StandInEngine:
    """Fuses with a function; by default the result is the thermal image."""

    visible_channels = output_channels = 1

    def __init__(
        self,
        fuse: Callable[[np.ndarray, np.ndarray], np.ndarray] = lambda visible, thermal: thermal,
    ) -> None:
        self._fuse = fuse
        self.notes: dict[str, str] = {}

    def warm_up(self, height: int, width: int) -> None:
        pass

    def infer(self, visible: np.ndarray, thermal: np.ndarray, **_: object) -> np.ndarray:
        return self._fuse(visible, thermal).copy()

    def describe(self) -> EngineDescription:
        return EngineDescription("stand-in", "cpu", "exact", "none", "0" * 64, {})

    def close(self) -> None:
        pass
