# SPDX-License-Identifier: Apache-2.0
"""The look at whether both pictures still lie on each other."""

from __future__ import annotations

import tracemalloc

import cv2
import numpy as np
import pytest

from fusion_ros.registration.alignment import AlignmentMonitor


@pytest.fixture
def scene() -> np.ndarray:
    rng = np.random.default_rng(4)
    picture = np.full((512, 900), 90, np.uint8)
    for _ in range(60):
        x, y = (int(v) for v in rng.integers(0, [900, 512]))
        w, h = (int(v) for v in rng.integers(20, 120, 2))
        cv2.rectangle(picture, (x, y), (x + w, y + h), int(rng.integers(0, 256)), -1)
    return cv2.GaussianBlur(picture, (0, 0), 1.5)


def other_sense(picture: np.ndarray, seed: int = 0) -> np.ndarray:
    """The same edges with turned and bent greys, and noise, as another sensor would see them."""
    bent = 255 * (1 - (picture / 255.0) ** 2)
    noise = np.random.default_rng(seed).normal(0, 6, picture.shape)
    return np.clip(bent + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (24, 0), (-16, 12), (0, -28)])
def test_a_knock_is_told_with_its_shift(scene: np.ndarray, dx: int, dy: int) -> None:
    visible = scene[100:412, 120:760]
    # Content that lies dx too far right shows what is dx further left in the scene.
    thermal = other_sense(scene)[100 - dy : 412 - dy, 120 - dx : 760 - dx]
    found = AlignmentMonitor().look(visible, thermal)
    assert found.shift_x_px == pytest.approx(dx, abs=2.5)
    assert found.shift_y_px == pytest.approx(dy, abs=2.5)
    assert found.clearness > 6
    if dx == dy == 0:
        assert found.score == pytest.approx(1.0)
    else:
        assert found.score < 0.6


def test_pictures_that_share_nothing_are_not_sure() -> None:
    rng = np.random.default_rng(0)
    visible, thermal = (
        cv2.GaussianBlur(rng.normal(128, 60, (256, 320)), (0, 0), 3).astype(np.uint8)
        for _ in range(2)
    )
    assert AlignmentMonitor().look(visible, thermal).clearness < 6


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_empty_pictures_have_no_score(grey: int) -> None:
    flat = np.full((60, 80), grey, np.uint8)
    assert np.isnan(AlignmentMonitor().look(flat, flat).score)


@pytest.mark.parametrize("hz", [1, 5, 9, 30, 60, 120])
def test_looks_come_at_one_rate_whatever_the_cameras_rate(scene: np.ndarray, hz: int) -> None:
    monitor, small = AlignmentMonitor(period_s=0.5), scene[:60, :80]
    for n in range(4 * hz):
        found = monitor(small, small, now_s=100 + n / hz)
    assert found.looks == pytest.approx(4 * min(hz, 2), abs=1)
    monitor.reset()
    assert monitor.last is None


def test_nothing_is_looked_at_when_switched_off(scene: np.ndarray) -> None:
    monitor = AlignmentMonitor(period_s=0)
    assert monitor(scene, scene, now_s=0.0) is None
    with pytest.raises(ValueError, match="alignment_period_s is -1"):
        AlignmentMonitor(period_s=-1)


def test_a_knock_shows_after_some_looks_even_after_a_long_quiet_time(scene: np.ndarray) -> None:
    monitor = AlignmentMonitor()
    for n in range(30):
        monitor(scene[100:412, 120:760], other_sense(scene[100:412, 120:760], n), now_s=n)
    for n in range(15):
        shown = other_sense(scene[100:412, 90:730], n)
        found = monitor(scene[100:412, 120:760], shown, now_s=30 + n)
    assert found.shift_x_px == pytest.approx(30, abs=3)


def test_a_picture_of_one_column_takes_no_more_memory_than_another() -> None:
    column = np.tile(np.arange(250, dtype=np.uint8), 8)[:, None]
    tracemalloc.start()
    try:
        AlignmentMonitor()(column, column, now_s=0.0)
        assert tracemalloc.get_traced_memory()[1] < 64e6
    finally:
        tracemalloc.stop()
