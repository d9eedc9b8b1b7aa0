# SPDX-License-Identifier: Apache-2.0
"""Comparing rivals on a machine that may be busy: how long is measured, and who wins."""

from __future__ import annotations

from collections.abc import Callable

from fusion_ros.engines.trials import LEAST_ROUNDS, Trials


def rounds_until_settled(
    trials: Trials[str], takes_ms: dict[str, Callable[[int], float]], most: int = 1000
) -> int:
    """Runs rounds until the trials have enough; how many that were."""
    rounds = 0
    while trials.needs_another_round() and rounds < most:
        for name in trials.names:
            trials.add(name, takes_ms[name](rounds))
        rounds += 1
    return rounds


def test_a_clear_winner_on_a_quiet_machine_needs_few_rounds() -> None:
    trials = Trials(["usual", "other"], seconds=10.0)
    steady = {"usual": lambda n: 20.0, "other": lambda n: 10.0}
    assert rounds_until_settled(trials, steady) == LEAST_ROUNDS
    assert trials.winner() == "other"


def test_the_usual_one_keeps_its_place_unless_it_is_clearly_slower() -> None:
    for other_ms, winner in ((20.0, "usual"), (18.5, "usual"), (17.0, "other")):
        trials = Trials(["usual", "other"], seconds=0.1)
        rounds_until_settled(trials, {"usual": lambda n: 20.0, "other": lambda n, t=other_ms: t})
        assert trials.winner() == winner


def test_where_it_is_close_more_rounds_are_run_until_the_time_is_up() -> None:
    trials = Trials(["usual", "other"], seconds=1.0)
    # 38 ms of timed runs a round: 27 rounds fill a second.
    close = {"usual": lambda n: 20.0, "other": lambda n: 18.0}
    assert rounds_until_settled(trials, close) == 27


def test_a_busy_spell_that_hits_every_run_of_one_is_waited_out() -> None:
    """What once made the slower engine win: the faster one was disturbed in all its first runs."""
    trials = Trials(["fast", "slow"], seconds=10.0)

    def disturbed(n: int) -> float:
        return 50.0 + 17.0 * (n % 5) if n < 12 else 20.0

    assert rounds_until_settled(trials, {"fast": disturbed, "slow": lambda n: 52.0}) >= 14
    assert trials.winner() == "fast"
    assert trials.best_ms() == {"fast": 20.0, "slow": 52.0}


def test_a_best_time_that_no_other_run_came_near_is_not_believed_yet() -> None:
    trials = Trials(["usual", "other"], seconds=10.0)
    lucky_once = {"usual": lambda n: 10.0, "other": lambda n: 2.0 if n in (0, 6) else 30.0}
    assert rounds_until_settled(trials, lucky_once) == 7
    assert trials.winner() == "other"


def test_one_that_is_dropped_no_longer_counts() -> None:
    trials = Trials(["usual", "other"], seconds=10.0)
    trials.add("usual", 20.0)
    trials.drop("other")
    rounds_until_settled(trials, {"usual": lambda n: 20.0})
    assert trials.winner() == "usual"
    trials.drop("usual")
    assert not trials.needs_another_round()
