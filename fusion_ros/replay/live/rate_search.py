# SPDX-License-Identifier: Apache-2.0
"""Search for the highest sustained rate: doubling until frames are lost, then bisection."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fusion_ros.replay.live.one_pass import PassFigures

MOST_LOSS = 0.01
"""A rate is sustained if less than this share of the pairs is lost."""
PRECISION = 1.05
KEPT_UP = 0.97
"""Below this share of the requested rate, the player was the limit."""
_LOWEST = 1 / 16


@dataclasses.dataclass(frozen=True)
class Highest:
    """Result of the search.

    Attributes:
        rate: multiple of the recorded rate; 0 if even the lowest rate lost frames.
        limited_by: "node" or "player".
    """

    rate: float
    limited_by: str


def highest_rate(play: Callable[[float], PassFigures], first: PassFigures) -> Highest:
    """Search, starting from the result of a rate that was played already.

    A rate at which frames are lost is played twice and the better result counts: a short stall of
    the machine is not the limit of the node.
    """

    def again(rate: float) -> PassFigures:
        trial = play(rate)
        return trial if _passes(trial) else min(trial, play(rate), key=lambda t: t.loss)

    good, bad = first, first
    while _passes(bad):
        good = bad
        if _is_behind(good):
            return Highest(good.achieved_rate, "player")
        bad = again(2 * good.rate)
    while not _passes(good):
        bad = good
        if bad.rate <= _LOWEST * first.rate:
            return Highest(0.0, "node")
        good = again(bad.rate / 2)
    low, high = _reached(good), _reached(bad)
    while high / low > PRECISION:
        trial = again(math.sqrt(low * high))
        if not _passes(trial):
            high = min(high, _reached(trial))
        elif _is_behind(trial):
            return Highest(max(low, trial.achieved_rate), "player")
        else:
            low = trial.rate
    return Highest(low, "node")


def _passes(trial: PassFigures) -> bool:
    return trial.loss < MOST_LOSS


def _is_behind(trial: PassFigures) -> bool:
    return trial.achieved_rate < KEPT_UP * trial.rate


def _reached(trial: PassFigures) -> float:
    return trial.achieved_rate if _is_behind(trial) else trial.rate
