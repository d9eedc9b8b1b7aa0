# SPDX-License-Identifier: Apache-2.0
"""Duration and winner of trials on a machine with other load."""

from __future__ import annotations

from collections.abc import Callable

from fusion_ros.engines.trials import LEAST_ROUNDS, Trials


def rounds_until_settled(
    trials: Trials[str], takes_ms: dict[str, Callable[[int], float]], most: int = 1000
) -> int:
    """Run rounds until the trials end and return their number."""
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


def test_the_preferred_candidate_stays_unless_it_is_clearly_slower() -> None:
    for other_ms, winner in ((20.0, "usual"), (18.5, "usual"), (17.0, "other")):
        trials = Trials(["usual", "other"], seconds=0.1)
        rounds_until_settled(trials, {"usual": lambda n: 20.0, "other": lambda n, t=other_ms: t})
        assert trials.winner() == winner


def test_a_close_decision_runs_until_the_time_is_over() -> None:
    trials = Trials(["usual", "other"], seconds=1.0)
    # 38 ms of timed runs a round: 27 rounds fill a second.
    close = {"usual": lambda n: 20.0, "other": lambda n: 18.0}
    assert rounds_until_settled(trials, close) == 27


def test_trials_continue_while_all_runs_of_a_candidate_are_disturbed() -> None:
    """Otherwise a slower engine wins when the faster one is disturbed in its first runs."""
    trials = Trials(["fast", "slow"], seconds=10.0)

    def disturbed(n: int) -> float:
        return 50.0 + 17.0 * (n % 5) if n < 12 else 20.0

    assert rounds_until_settled(trials, {"fast": disturbed, "slow": lambda n: 52.0}) >= 14
    assert trials.winner() == "fast"
    assert trials.best_ms() == {"fast": 20.0, "slow": 52.0}


def test_a_single_short_run_is_not_sufficient() -> None:
    trials = Trials(["usual", "other"], seconds=10.0)
    lucky_once = {"usual": lambda n: 10.0, "other": lambda n: 2.0 if n in (0, 6) else 30.0}
    assert rounds_until_settled(trials, lucky_once) == 7
    assert trials.winner() == "other"


def test_a_dropped_candidate_does_not_count() -> None:
    trials = Trials(["usual", "other"], seconds=10.0)
    trials.add("usual", 20.0)
    trials.drop("other")
    rounds_until_settled(trials, {"usual": lambda n: 20.0})
    assert trials.winner() == "usual"
    trials.drop("usual")
    assert not trials.needs_another_round()
