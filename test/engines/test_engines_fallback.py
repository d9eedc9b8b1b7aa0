# SPDX-License-Identifier: Apache-2.0
"""A failed engine is replaced for the same pair, reported, and retried later."""

from __future__ import annotations

import numpy as np
import pytest

from fusion_ros.engines.engine import EngineDescription, EngineError
from fusion_ros.engines.fallback import FIRST_RETRY_S, FallbackEngine

PICTURE = np.zeros((4, 4), np.uint8)


class FlakyEngine:
    """A stand-in that fails on request and returns its number as the image."""

    visible_channels = 1
    output_channels = 1

    def __init__(self, number: int, broken: set[int]) -> None:
        if -number in broken:
            raise EngineError(f"engine {number} cannot be made")
        self.number, self.broken, self.closed = number, broken, False

    def warm_up(self, height: int, width: int) -> None:
        self.infer(PICTURE, PICTURE)

    def infer(self, visible: np.ndarray, thermal: np.ndarray, **_: object) -> np.ndarray:
        assert not self.closed
        if self.number in self.broken:
            raise EngineError("out of memory")
        return np.full_like(visible, self.number)

    def describe(self) -> EngineDescription:
        return EngineDescription(f"flaky{self.number}", "cpu", "uint8", "custom", "", {})

    def close(self) -> None:
        self.closed = True


class Garage:
    def __init__(self, *, count: int = 3, broken: set[int] | None = None) -> None:
        self.broken = broken if broken is not None else set()
        self.made: list[FlakyEngine] = []
        self.told: list[tuple[str, bool]] = []
        self.now_s = 0.0
        self.engine = FallbackEngine(
            [lambda n=n: self._make(n) for n in range(1, count + 1)],
            notify=lambda text, good: self.told.append((text, good)),
            clock_s=lambda: self.now_s,
        )

    def _make(self, number: int) -> FlakyEngine:
        self.made.append(FlakyEngine(number, self.broken))
        return self.made[-1]

    def served_by(self) -> int:
        """Fuse a pair, and wait for the retry that it started."""
        number = int(self.engine.infer(PICTURE, PICTURE)[0, 0])
        if self.engine._retrying is not None:
            self.engine._retrying.join()
        return number


def test_no_other_engine_is_created_while_the_first_works():
    garage = Garage()
    assert [garage.served_by() for _ in range(3)] == [1, 1, 1]
    assert len(garage.made) == 1
    assert garage.told == []


def test_the_next_engine_fuses_the_pair_on_which_one_failed():
    garage = Garage()
    garage.broken.add(1)
    assert garage.served_by() == 2
    assert garage.made[0].closed
    assert garage.engine.describe().name == "flaky2"
    ((text, good),) = garage.told
    assert not good
    assert "flaky1" in text
    assert "out of memory" in text
    assert "flaky2" in text


def test_an_engine_that_cannot_be_created_is_skipped():
    garage = Garage()
    garage.broken.update({1, -2})
    assert garage.served_by() == 3


def test_the_first_engine_must_be_available_at_the_start():
    with pytest.raises(EngineError, match="engine 1 cannot be made"):
        Garage(broken={-1})


def test_the_error_names_every_failure_and_the_next_pair_tries_again():
    garage = Garage(count=2)
    garage.broken.update({1, 2})
    with pytest.raises(EngineError, match=r"flaky1: .*; flaky2: "):
        garage.served_by()
    garage.broken.clear()
    assert garage.served_by() == 2


def test_a_recovered_engine_takes_over_after_the_delay():
    garage = Garage()
    garage.broken.add(1)
    garage.served_by()
    garage.broken.clear()
    garage.now_s = FIRST_RETRY_S - 1
    assert garage.served_by() == 2
    garage.now_s = FIRST_RETRY_S
    assert [garage.served_by() for _ in range(2)] == [2, 1]
    assert garage.told[-1][1]
    assert not garage.engine.is_fallback


def test_the_delay_of_retries_doubles():
    garage = Garage(count=2)
    garage.broken.add(1)
    garage.served_by()
    tries = []
    for second in range(400):
        garage.now_s = float(second)
        before = len(garage.made)
        assert garage.served_by() == 2
        if len(garage.made) > before:
            tries.append(second)
    assert tries == [10, 30, 70, 150, 310]
    # Failed retries release their device memory.
    assert [engine.number for engine in garage.made if not engine.closed] == [2]


def test_close_closes_the_engine_in_use():
    garage = Garage()
    garage.engine.close()
    assert garage.made[0].closed
