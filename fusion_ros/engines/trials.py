# SPDX-License-Identifier: Apache-2.0
"""Which of several is the fastest, on a machine that may also do other things."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

Name = TypeVar("Name", bound=Hashable)

#: What usually wins keeps its place unless another takes less than this share of its time.
CLEARLY = 0.9
#: Measured times may be wrong by this share: where that would change the winner, measure on.
DOUBT = 0.15
LEAST_ROUNDS = 3


class Trials(Generic[Name]):
    """Times of rivals that take turns, and whether they tell enough.

    Taking turns, they all meet what else the machine does. It can only make a run longer, so the
    shortest run of each counts, and is believed when another one came near it. Rounds go on until
    all are believed and no small error would change the winner, or the time is up.

    Args:
        names: the rivals, the one that usually wins first.
        seconds: for all timed runs.
    """

    def __init__(self, names: list[Name], *, seconds: float) -> None:
        self._times_ms: dict[Name, list[float]] = {name: [] for name in names}
        self._left_ms = seconds * 1e3

    @property
    def names(self) -> list[Name]:
        """Those that are still in."""
        return list(self._times_ms)

    def add(self, name: Name, milliseconds: float) -> None:
        """One timed run."""
        self._times_ms[name].append(milliseconds)
        self._left_ms -= milliseconds

    def drop(self, name: Name) -> None:
        """This one cannot go on."""
        self._times_ms.pop(name, None)

    def best_ms(self) -> dict[Name, float]:
        """The shortest run of each."""
        return {name: min(times) for name, times in self._times_ms.items()}

    def winner(self) -> Name:
        """The first, unless another is clearly faster."""
        return _winner(self.best_ms())

    def goes_on(self) -> bool:
        """Whether another round should be run."""
        times = self._times_ms
        if not times or any(len(runs) < LEAST_ROUNDS for runs in times.values()):
            return bool(times)
        return self._left_ms > 0 and not (self._are_believed() and self._is_clear())

    def _are_believed(self) -> bool:
        nearest = (sorted(runs)[:2] for runs in self._times_ms.values())
        return all(second * (1 - DOUBT) <= best for best, second in nearest)

    def _is_clear(self) -> bool:
        best_ms, winner = self.best_ms(), self.winner()
        return all(
            _winner({**best_ms, name: best_ms[name] * (1 - DOUBT)}) == winner for name in best_ms
        )


def _winner(times_ms: dict[Name, float]) -> Name:
    best, *others = times_ms
    for name in others:
        if times_ms[name] < CLEARLY * times_ms[best]:
            best = name
    return best
