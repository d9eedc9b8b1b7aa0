# SPDX-License-Identifier: Apache-2.0
"""Thermal tone over time: calm in one scene, quick in another, no jumps from the camera's gain."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from fusion_ros.thermal.tone import ThermalToneMapper, ToneOptions

SECOND = 1_000_000_000


@pytest.fixture
def scene() -> np.ndarray:
    soft = cv2.GaussianBlur(np.random.default_rng(5).normal(size=(120, 160)), (0, 0), 8)
    return 8000 + soft / soft.std() * 100


def ramp(low: float, high: float) -> np.ndarray:
    return np.tile(np.linspace(low, high, 401), (50, 1)).astype(np.float32)


def grey_of_20(mapper: ThermalToneMapper, frame: np.ndarray, stamp_ns: int) -> int:
    """Grey of the pixel at 20 degrees after a frame; its place tells the limits in use."""
    return int(mapper(frame, stamp_ns)[0, np.abs(frame[0] - 20).argmin()])


@pytest.mark.parametrize("rate_hz", [5, 30, 100])
def test_limits_follow_with_the_time_constant_whatever_the_rate(rate_hz: int) -> None:
    options = ToneOptions(
        mode="percentile", low_percent=0, high_percent=100, scene_change=0, smoothing_s=2.0
    )
    mapper = ThermalToneMapper(options)
    mapper(ramp(0, 40), 0)
    for n in range(1, 3 * rate_hz + 1):
        mapped = grey_of_20(mapper, ramp(10, 45), n * SECOND // rate_hz)
    # After 3 s the limits have gone the share 1 - exp(-1.5) of the way.
    share = 1 - math.exp(-1.5)
    low, high = 10 * share, 40 + 5 * share
    assert mapped == pytest.approx((20 - low) / (high - low) * 255, abs=2)


def test_without_stamps_every_frame_stands_for_itself(scene: np.ndarray) -> None:
    mapper = ThermalToneMapper()
    frames = [(scene + shift).astype(np.uint16) for shift in (0, 3000)]
    mapper(frames[0])
    np.testing.assert_array_equal(mapper(frames[1]), ThermalToneMapper()(frames[1]))


@pytest.mark.parametrize("mode", ["percentile", "histogram"])
def test_another_scene_is_settled_within_ten_frames(mode: str, scene: np.ndarray) -> None:
    mapper = ThermalToneMapper(ToneOptions(mode=mode))
    other = (scene[::-1] * 3 - 14000).astype(np.uint16)
    for n in range(60):
        mapper(scene.astype(np.uint16), n * SECOND // 30)
    for n in range(60, 70):
        mapped = mapper(other, n * SECOND // 30)
    settled = ThermalToneMapper(ToneOptions(mode=mode))(other)
    assert np.abs(mapped.astype(int) - settled).mean() < 3


@pytest.mark.parametrize("mode", ["percentile", "histogram"])
def test_a_hot_object_that_walks_in_makes_no_step_in_the_rest(mode: str, scene: np.ndarray) -> None:
    mapper = ThermalToneMapper(ToneOptions(mode=mode))
    alone = ThermalToneMapper(ToneOptions(mode=mode))
    means, means_alone = [], []
    for n in range(90):
        frame = scene.copy()
        if n >= 30:
            frame[20:50, 10 + n : 40 + n] = 11000  # 4.7 % of the picture
        frame = frame.astype(np.uint16)
        means.append(mapper(frame, n * SECOND // 30)[80:].mean())
        means_alone.append(alone(frame)[80:].mean())
    assert np.abs(np.diff(means)).max() < 2.5
    assert np.abs(np.diff(means_alone)).max() > 5  # what it would be without smoothing


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
@pytest.mark.parametrize("mode", ["percentile", "histogram", "clahe", "fixed"])
def test_when_a_frame_is_learnt_changes_nothing(mode: str, dtype: type, scene: np.ndarray) -> None:
    options = ToneOptions(mode=mode, fixed_low=-200.0, fixed_high=300.0, detail_gain=0.5)
    at_once, soon, never_asked = (ThermalToneMapper(options) for _ in range(3))
    rng = np.random.default_rng(7)
    for n in range(40):
        if n % 15 == 14:
            scene = scene[::-1] * rng.uniform(0.5, 2)  # another one
        frame = (scene + rng.normal(0, 3, scene.shape)).astype(dtype)
        right = at_once(frame, n * SECOND // 30)
        np.testing.assert_array_equal(soon(frame, n * SECOND // 30, learn_later=True), right)
        soon.learn()
        np.testing.assert_array_equal(never_asked(frame, n * SECOND // 30, learn_later=True), right)


def test_the_first_frame_of_another_scene_is_mapped_by_what_it_shows(scene: np.ndarray) -> None:
    mapper = ThermalToneMapper()
    for n in range(30):
        mapper(scene.astype(np.uint16), n * SECOND // 30)
    other = (scene + 4000).astype(np.uint16)  # far beyond all that was white
    mapped = mapper(other, SECOND)
    np.testing.assert_array_equal(mapped, ThermalToneMapper()(other))


def test_a_clock_that_jumps_back_starts_afresh(scene: np.ndarray) -> None:
    mapper = ThermalToneMapper(ToneOptions(scene_change=0, smoothing_s=100.0))
    mapper(scene.astype(np.uint16), 100 * SECOND)
    other = (scene + 300).astype(np.uint16)
    np.testing.assert_array_equal(mapper(other, 5 * SECOND), ThermalToneMapper()(other))


def test_reset_forgets_earlier_frames(scene: np.ndarray) -> None:
    mapper = ThermalToneMapper(ToneOptions(scene_change=0, smoothing_s=100.0))
    mapper(scene.astype(np.uint16), 0)
    mapper.reset()
    other = (scene + 300).astype(np.uint16)
    np.testing.assert_array_equal(mapper(other, SECOND), ThermalToneMapper()(other))


def eight_bit(scene: np.ndarray, gain: float = 1.0, offset: float = 0.0) -> np.ndarray:
    return np.clip((scene - 8000) * 0.3 * gain + 110 + offset, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("gain", "offset"), [(1.0, 12.0), (0.75, 0.0), (1.2, -9.0)])
def test_a_gain_jump_is_not_seen_at_once_and_has_come_in_after_a_while(
    gain: float, offset: float, scene: np.ndarray
) -> None:
    mapper = ThermalToneMapper()
    before = mapper(eight_bit(scene), 0)
    jumped = eight_bit(scene, gain, offset)
    after = mapper(jumped, SECOND // 30)
    assert np.abs(jumped.astype(int) - before).mean() > 4
    assert np.abs(after.astype(int) - before).mean() < 1.2
    for n in range(2, 600):
        last = mapper(jumped, n * SECOND // 30)
    np.testing.assert_array_equal(last, jumped)


def test_a_steady_eight_bit_stream_passes_through_untouched(scene: np.ndarray) -> None:
    mapper, rng = ThermalToneMapper(), np.random.default_rng(0)
    for n in range(20):
        frame = eight_bit(scene + rng.normal(0, 4, scene.shape))
        assert mapper(frame, n * SECOND // 30) is frame


def test_a_moving_camera_is_not_taken_for_a_gain_jump() -> None:
    rng = np.random.default_rng(9)
    world = cv2.GaussianBlur(rng.normal(size=(120, 900)), (0, 0), 6)
    world = np.clip(world / world.std() * 40 + np.linspace(60, 180, 900), 0, 255).astype(np.uint8)
    mapper = ThermalToneMapper()
    for n in range(20):
        frame = np.ascontiguousarray(world[:, n * 30 : n * 30 + 160])
        assert mapper(frame, n * SECOND // 30) is frame


def test_the_real_gain_jump_is_stabilised(shared_data) -> None:
    clip = shared_data / "m3svd_video" / "0117_1620_ir.mp4"
    capture, mapper = cv2.VideoCapture(str(clip)), ThermalToneMapper()
    raw, shown = [], []
    for n in range(260):
        frame = np.ascontiguousarray(capture.read()[1][:, :, 0])
        raw.append(frame.mean())
        shown.append(mapper(frame, n * SECOND // 30).mean())
    assert np.abs(np.diff(raw)).max() > 9.5
    assert np.abs(np.diff(shown)).max() < 2.5
