# SPDX-License-Identifier: Apache-2.0
"""Simulation of a bad link: lost frames, bursts of losses, delayed and duplicated frames."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Generic, TypeVar

Frame = TypeVar("Frame")

LOST, BURST, TWICE, LATE = 0.03, 0.002, 0.005, 0.005
BURST_FRAMES = 8


class Lossy(Generic[Frame]):
    """Pass frames as a bad link does.

    Args:
        seed: makes the losses repeatable.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._burst = 0
        self._held: Frame | None = None

    def arrivals(self, frame: Frame) -> Iterator[Frame]:
        """Yield the frames that arrive in the period of this frame."""
        draw = self._random.random()
        if self._burst or draw < BURST:
            self._burst = (self._burst or BURST_FRAMES) - 1
            return
        if draw < BURST + LOST:
            return
        if draw < BURST + LOST + LATE and self._held is None:
            self._held = frame  # delivered after its successor
            return
        yield frame
        if draw > 1 - TWICE:
            yield frame
        if self._held is not None:
            held, self._held = self._held, None
            yield held
