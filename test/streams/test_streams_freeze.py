# SPDX-License-Identifier: Apache-2.0
"""Detection of a stuck thermal camera, without alarms for one before a still scene."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from fusion_ros.streams.freeze import FreezeDetector

MS = 1_000_000
AFTER_MS = 2000.0
TEXTURE = np.random.default_rng(0).integers(10, 240, (30, 60)).repeat(8, 0).repeat(8, 1)
WARM = 30000 + np.add.outer(np.arange(96), 2 * np.arange(128))


def view(step: int = 0, *, noise: float = 2.0, gain: float = 1.0, seed: int = 0) -> np.ndarray:
    """Return a visible image; `step` is the movement of the robot in pixels."""
    pixels = TEXTURE[:96, step : step + 128] * gain
    return (
        np.clip(pixels + np.random.default_rng(seed).normal(0, noise, pixels.shape), 0, 255)[
            ..., None
        ]
        .repeat(3, 2)
        .astype(np.uint8)
    )


def warm(seed: int | None = None) -> np.ndarray:
    """Return a thermal image, with noise if a seed is given."""
    noise = 0.0 if seed is None else np.random.default_rng(seed).normal(0, 4, WARM.shape)
    return (WARM + noise).astype(np.uint16)


class Run:
    """Feeds both streams at a rate and collects the results of thermal frames."""

    def __init__(self, hz: float = 30.0, after_ms: float = AFTER_MS) -> None:
        self.detector = FreezeDetector(after_ms)
        self.period_ns = round(1e9 / hz)
        self.now_ns = 5_000 * MS
        self.before: np.ndarray | None = None
        self.numbers = itertools.count(1)

    def feed(self, seconds: float, visible, thermal) -> list[bool]:
        judged = []
        for _ in range(max(1, round(seconds * 1e9 / self.period_ns))):
            self.now_ns += self.period_ns
            n = next(self.numbers)
            if visible is not None:
                self.detector.examine_visible(visible(n), self.now_ns)
            pixels = thermal(n)
            repeated = self.before is not None and np.array_equal(self.before, pixels)
            self.before = pixels
            judged.append(self.detector.add_thermal(pixels, self.now_ns, repeated=repeated))
            self.detector.examine_thermal()
        return judged


@pytest.fixture(params=[5.0, 9.0, 30.0, 60.0])
def run(request: pytest.FixtureRequest) -> Run:
    return Run(request.param)


def still(n: int) -> np.ndarray:
    return view(seed=n)


def test_a_parked_simulated_robot_is_not_frozen(run):
    assert not any(run.feed(8, still, lambda n: warm()))


def test_a_robot_parked_after_a_drive_is_not_frozen(run):
    moving = run.feed(3, lambda n: view(n % 300), lambda n: np.roll(warm(), n, axis=1))
    parked = run.feed(8, lambda n: view(7, seed=n), lambda n: warm())
    assert not any(moving + parked)
    assert not run.detector.has_noise


def test_a_person_in_the_visible_view_alone_is_no_freeze(run):
    def walked(n: int) -> np.ndarray:
        picture = view(seed=n).copy()
        at = (n * 3) % 110
        picture[40:80, at : at + 12] = 250
        return picture

    assert not any(run.feed(8, walked, lambda n: warm()))


def test_a_change_of_exposure_is_no_freeze(run):
    assert not any(
        run.feed(8, lambda n: view(gain=0.4 + 0.5 * abs(np.sin(n / 20)), seed=n), lambda n: warm())
    )


def test_darkness_is_no_freeze(run):
    assert not any(run.feed(6, lambda n: view(n % 300, gain=0.005), lambda n: warm()))


def test_a_stuck_camera_on_a_moving_robot_is_frozen_soon_after_the_limit(run):
    run.feed(1, still, lambda n: np.roll(warm(), n, axis=1))
    last = warm()
    judged = run.feed(6, lambda n: view(n % 300), lambda n: last)
    first_s = judged.index(True) * run.period_ns / 1e9
    assert AFTER_MS / 1e3 <= first_s <= AFTER_MS / 1e3 + 2 * run.period_ns / 1e9 + 0.2
    assert all(judged[judged.index(True) :])


def test_a_stuck_camera_is_frozen_if_the_view_was_flat_when_it_stopped(run):
    """A dark or covered visible camera shows no movement; the first textured view counts."""
    dark = np.full((96, 128, 3), 100, np.uint8)
    last = warm()
    run.feed(1, lambda n: dark, lambda n: last)
    assert run.feed(6, lambda n: view(n % 300), lambda n: last)[-1]


def test_a_real_camera_that_stops_before_a_still_view_is_frozen(run):
    assert not any(run.feed(3, still, warm))
    last = warm(1)
    judged = run.feed(6, still, lambda n: last)
    assert judged[-1]
    assert judged.index(True) * run.period_ns / 1e9 >= AFTER_MS / 1e3


def test_the_first_new_image_ends_the_freeze():
    run = Run()
    run.feed(3, still, warm)
    assert run.feed(4, still, lambda n: warm(1))[-1]
    assert run.feed(0.01, still, lambda n: warm(n)) == [False]


def test_a_slow_sensor_behind_a_fast_driver_is_alive():
    run = Run(30.0)
    assert not any(run.feed(20, lambda n: view(n % 300), lambda n: warm(n // 4)))


@pytest.mark.parametrize(("period_s", "learnt_after_s"), [(1.0, 0), (3.0, 3)])
def test_a_sensor_slower_than_the_limit_is_alive_once_its_period_is_known(period_s, learnt_after_s):
    run = Run(10.0)
    frames = round(10 * period_s)
    judged = run.feed(30, lambda n: view(n % 300), lambda n: warm(n // frames))
    assert not any(judged[learnt_after_s * 10 :])


def test_the_detection_can_be_disabled():
    run = Run(after_ms=0.0)
    run.feed(3, still, warm)
    assert not any(run.feed(8, lambda n: view(n % 300), lambda n: warm(1)))


def test_a_restart_resets_the_noise():
    run = Run()
    run.feed(3, still, warm)
    assert run.detector.has_noise
    run.detector.restart()
    assert not any(run.feed(5, still, lambda n: warm(1)))
