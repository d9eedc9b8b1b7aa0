# SPDX-License-Identifier: Apache-2.0
"""Selection of the fastest of several candidates on a machine with other load."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

Name = TypeVar("Name", bound=Hashable)

#: The preferred candidate is kept unless another takes less than this share of its time.
CLEARLY = 0.9
#: Assumed relative error of a measured time; if it could change the winner, measuring continues.
DOUBT = 0.15
LEAST_ROUNDS = 3


class Trials(Generic[Name]):
    """Times of candidates that run in turn, and whether they suffice for a decision.

    Other load can only lengthen a run, so the shortest run of each candidate counts once a second
    one confirms it. Rounds continue until every shortest run is confirmed and no small error would
    change the winner, or until the time is over.

    Args:
        names: candidates, the preferred one first.
        seconds: limit for all timed runs together.
    """

    def __init__(self, names: list[Name], *, seconds: float) -> None:
        self._times_ms: dict[Name, list[float]] = {name: [] for name in names}
        self._left_ms = seconds * 1e3

    @property
    def names(self) -> list[Name]:
        """Remaining candidates."""
        return list(self._times_ms)

    def add(self, name: Name, milliseconds: float) -> None:
        """Add one timed run."""
        self._times_ms[name].append(milliseconds)
        self._left_ms -= milliseconds

    def drop(self, name: Name) -> None:
        """Remove a candidate that failed."""
        self._times_ms.pop(name, None)

    def best_ms(self) -> dict[Name, float]:
        """Return the shortest run of each candidate."""
        return {name: min(times) for name, times in self._times_ms.items()}

    def winner(self) -> Name:
        """Return the preferred candidate unless another is clearly faster."""
        return _winner(self.best_ms())

    def needs_another_round(self) -> bool:
        """Return whether another round should be run."""
        times = self._times_ms
        if not times or any(len(runs) < LEAST_ROUNDS for runs in times.values()):
            return bool(times)
        return self._left_ms > 0 and not (self._are_confirmed() and self._is_clear())

    def _are_confirmed(self) -> bool:
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
