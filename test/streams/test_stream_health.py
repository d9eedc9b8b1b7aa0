# SPDX-License-Identifier: Apache-2.0
"""Detection of silent, frozen and shuttered cameras."""

from __future__ import annotations

import numpy as np
import pytest

from fusion_ros.streams.stream_health import LONGEST_SHUTTER_S, FrameFormat, StreamWatch

S = 1_000_000_000
PERIOD_NS = S // 30


def scene(seed: int, dtype=np.uint16, noise: float = 5.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    ramp = np.linspace(30000, 31000, 64)[None, :] + np.zeros((48, 1))
    return (ramp + rng.normal(0, noise, ramp.shape)).astype(dtype)


def shutter(seed: int) -> np.ndarray:
    return (30500 + np.random.default_rng(seed).normal(0, 5, (48, 64))).astype(np.uint16)


@pytest.fixture
def watch() -> StreamWatch:
    return StreamWatch(started_ns=0)


def look_at_scenes(watch: StreamWatch, count: int = 30) -> int:
    for n in range(count):
        assert watch.examine(scene(n), n * PERIOD_NS)
    return count * PERIOD_NS


def test_silence_is_counted_from_the_last_frame(watch):
    assert watch.silent_for_ms(2 * S) == 2000
    watch.examine(scene(1), 2 * S)
    assert watch.silent_for_ms(3 * S) == 1000


def test_a_noisy_still_scene_is_alive(watch):
    now_ns = look_at_scenes(watch)
    assert watch.silent_for_ms(now_ns) < 50
    assert watch.repeated == watch.flat == 0


def test_a_repeated_image_has_content(watch):
    now_ns = look_at_scenes(watch)
    frozen = scene(29)
    for n in range(60):
        assert watch.examine(frozen.copy(), now_ns + n * PERIOD_NS)
    assert watch.repeated == 60
    assert watch.silent_for_ms(now_ns + 2 * S) < 50
    assert watch.blind_for_ms(now_ns + 2 * S) < 50


def test_a_slow_sensor_behind_a_fast_driver_is_alive(watch):
    for n in range(90):
        watch.examine(scene(n // 3), n * PERIOD_NS)
    assert watch.repeated == 60


def test_a_closed_shutter_is_flat_and_the_next_scene_is_not(watch):
    now_ns = look_at_scenes(watch)
    for n in range(15):
        assert not watch.examine(shutter(n), now_ns + n * PERIOD_NS)
    assert watch.flat == 15
    assert watch.blind_for_ms(now_ns + S) > 900
    assert watch.examine(scene(100), now_ns + S)
    assert watch.blind_for_ms(now_ns + S) == 0


def test_a_flat_scene_that_lasts_has_content(watch):
    now_ns = look_at_scenes(watch)
    seconds = 0.0
    n = 0
    while not watch.examine(shutter(n), now_ns + n * PERIOD_NS):
        n += 1
        seconds = n * PERIOD_NS / S
    assert LONGEST_SHUTTER_S <= seconds <= LONGEST_SHUTTER_S + 0.1


def test_floats_with_nan_are_examined(watch):
    picture = scene(1, np.float32)
    picture[:10] = np.nan
    assert watch.examine(picture, 0)
    assert not np.isfinite(np.full((4, 4), np.nan)).any()
    watch.examine(np.full((48, 64), np.nan, np.float32), PERIOD_NS)


def test_a_change_of_format_is_reported_once(watch):
    small, large = FrameFormat(640, 480, "rgb8"), FrameFormat(1280, 720, "bgr8")
    assert watch.format_change(small) is None
    assert watch.format_change(small) is None
    assert watch.format_change(large) == (small, large)
    assert watch.format_change(large) is None
