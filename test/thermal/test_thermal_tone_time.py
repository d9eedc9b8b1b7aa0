# SPDX-License-Identifier: Apache-2.0
"""Tone over time: slow within a scene, fast at a change, no jumps of the camera's gain."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from fusion_ros.thermal.tone import ThermalToneMapper
from fusion_ros.thermal.tone_options import ToneOptions

SECOND = 1_000_000_000


@pytest.fixture
def scene() -> np.ndarray:
    soft = cv2.GaussianBlur(np.random.default_rng(5).normal(size=(120, 160)), (0, 0), 8)
    return 8000 + soft / soft.std() * 100


def ramp(low: float, high: float) -> np.ndarray:
    return np.tile(np.linspace(low, high, 401), (50, 1)).astype(np.float32)


def grey_of_20(mapper: ThermalToneMapper, frame: np.ndarray, stamp_ns: int) -> int:
    """Return the grey of the pixel at 20 degrees, which depends on the limits in use."""
    return int(mapper(frame, stamp_ns)[0, np.abs(frame[0] - 20).argmin()])


@pytest.mark.parametrize("rate_hz", [5, 30, 100])
def test_limits_follow_with_the_time_constant_at_any_rate(rate_hz: int) -> None:
    options = ToneOptions(
        mode="percentile", low_percent=0, high_percent=100, scene_change=0, smoothing_s=2.0
    )
    mapper = ThermalToneMapper(options)
    mapper(ramp(0, 40), 0)
    for n in range(1, 3 * rate_hz + 1):
        mapped = grey_of_20(mapper, ramp(10, 45), n * SECOND // rate_hz)
    # After 3 s the limits have moved by the share 1 - exp(-1.5).
    share = 1 - math.exp(-1.5)
    low, high = 10 * share, 40 + 5 * share
    assert mapped == pytest.approx((20 - low) / (high - low) * 255, abs=2)


def test_without_stamps_frames_are_independent(scene: np.ndarray) -> None:
    mapper = ThermalToneMapper()
    frames = [(scene + shift).astype(np.uint16) for shift in (0, 3000)]
    mapper(frames[0])
    np.testing.assert_array_equal(mapper(frames[1]), ThermalToneMapper()(frames[1]))


@pytest.mark.parametrize("mode", ["percentile", "histogram"])
def test_tone_settles_in_a_new_scene_within_ten_frames(mode: str, scene: np.ndarray) -> None:
    mapper = ThermalToneMapper(ToneOptions(mode=mode))
    other = (scene[::-1] * 3 - 14000).astype(np.uint16)
    for n in range(60):
        mapper(scene.astype(np.uint16), n * SECOND // 30)
    for n in range(60, 70):
        mapped = mapper(other, n * SECOND // 30)
    settled = ThermalToneMapper(ToneOptions(mode=mode))(other)
    assert np.abs(mapped.astype(int) - settled).mean() < 3


@pytest.mark.parametrize("mode", ["percentile", "histogram"])
def test_entering_hot_object_causes_no_step_elsewhere(mode: str, scene: np.ndarray) -> None:
    mapper = ThermalToneMapper(ToneOptions(mode=mode))
    alone = ThermalToneMapper(ToneOptions(mode=mode))
    means, means_alone = [], []
    for n in range(90):
        frame = scene.copy()
        if n >= 30:
            frame[20:50, 10 + n : 40 + n] = 11000  # 4.7 % of the image
        frame = frame.astype(np.uint16)
        means.append(mapper(frame, n * SECOND // 30)[80:].mean())
        means_alone.append(alone(frame)[80:].mean())
    assert np.abs(np.diff(means)).max() < 2.5
    assert np.abs(np.diff(means_alone)).max() > 5  # without smoothing


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
@pytest.mark.parametrize("mode", ["percentile", "histogram", "clahe", "fixed"])
def test_time_of_learning_has_no_effect(mode: str, dtype: type, scene: np.ndarray) -> None:
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


def test_first_frame_of_a_new_scene_uses_its_own_curve(scene: np.ndarray) -> None:
    mapper = ThermalToneMapper()
    for n in range(30):
        mapper(scene.astype(np.uint16), n * SECOND // 30)
    other = (scene + 4000).astype(np.uint16)  # far above the white level
    mapped = mapper(other, SECOND)
    np.testing.assert_array_equal(mapped, ThermalToneMapper()(other))


def test_clock_jump_back_resets_the_curve(scene: np.ndarray) -> None:
    mapper = ThermalToneMapper(ToneOptions(scene_change=0, smoothing_s=100.0))
    mapper(scene.astype(np.uint16), 100 * SECOND)
    other = (scene + 300).astype(np.uint16)
    np.testing.assert_array_equal(mapper(other, 5 * SECOND), ThermalToneMapper()(other))


def test_reset_discards_earlier_frames(scene: np.ndarray) -> None:
    mapper = ThermalToneMapper(ToneOptions(scene_change=0, smoothing_s=100.0))
    mapper(scene.astype(np.uint16), 0)
    mapper.reset()
    other = (scene + 300).astype(np.uint16)
    np.testing.assert_array_equal(mapper(other, SECOND), ThermalToneMapper()(other))


def eight_bit(scene: np.ndarray, gain: float = 1.0, offset: float = 0.0) -> np.ndarray:
    return np.clip((scene - 8000) * 0.3 * gain + 110 + offset, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("gain", "offset"), [(1.0, 12.0), (0.75, 0.0), (1.2, -9.0)])
def test_gain_jump_appears_slowly(gain: float, offset: float, scene: np.ndarray) -> None:
    mapper = ThermalToneMapper()
    before = mapper(eight_bit(scene), 0)
    jumped = eight_bit(scene, gain, offset)
    after = mapper(jumped, SECOND // 30)
    assert np.abs(jumped.astype(int) - before).mean() > 4
    assert np.abs(after.astype(int) - before).mean() < 1.2
    for n in range(2, 600):
        last = mapper(jumped, n * SECOND // 30)
    np.testing.assert_array_equal(last, jumped)


def test_steady_eight_bit_stream_is_unchanged(scene: np.ndarray) -> None:
    mapper, rng = ThermalToneMapper(), np.random.default_rng(0)
    for n in range(20):
        frame = eight_bit(scene + rng.normal(0, 4, scene.shape))
        assert mapper(frame, n * SECOND // 30) is frame


def test_camera_motion_is_no_gain_jump() -> None:
    rng = np.random.default_rng(9)
    world = cv2.GaussianBlur(rng.normal(size=(120, 900)), (0, 0), 6)
    world = np.clip(world / world.std() * 40 + np.linspace(60, 180, 900), 0, 255).astype(np.uint8)
    mapper = ThermalToneMapper()
    for n in range(20):
        frame = np.ascontiguousarray(world[:, n * 30 : n * 30 + 160])
        assert mapper(frame, n * SECOND // 30) is frame


def test_recorded_gain_jump_is_stabilised(shared_data) -> None:
    clip = shared_data / "m3svd_video" / "0117_1620_ir.mp4"
    capture, mapper = cv2.VideoCapture(str(clip)), ThermalToneMapper()
    raw, shown = [], []
    for n in range(260):
        frame = np.ascontiguousarray(capture.read()[1][:, :, 0])
        raw.append(frame.mean())
        shown.append(mapper(frame, n * SECOND // 30).mean())
    assert np.abs(np.diff(raw)).max() > 9.5
    assert np.abs(np.diff(shown)).max() < 2.5
