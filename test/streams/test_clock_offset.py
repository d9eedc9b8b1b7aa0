# SPDX-License-Identifier: Apache-2.0
"""The hint for `thermal_offset_ms`: right where there is a constant offset, silent where not."""

from __future__ import annotations

import random

import pytest

from fusion_ros.streams.clock_offset import OffsetEstimator
from fusion_ros.streams.ledger import Stream

MS = 1_000_000


def observe(
    *,
    offset_ms: float = 0.0,
    visible_hz: float = 30.0,
    thermal_hz: float = 30.0,
    jitter_ms: float = 1.0,
    thermal_transport_ms: float = 5.0,
    loss: float = 0.0,
    seconds: float = 6.0,
    thermal_start_ms: float = 0.0,
    seed: int = 1,
) -> OffsetEstimator:
    """Cameras whose thermal stamps are early by `offset_ms`."""
    rng = random.Random(seed)
    frames = []
    for stream, hz, early_ms, start_ms, transport_ms in (
        (Stream.VISIBLE, visible_hz, 0.0, 0.0, 5.0),
        (Stream.THERMAL, thermal_hz, offset_ms, thermal_start_ms, thermal_transport_ms),
    ):
        for n in range(int(seconds * hz)):
            taken_ms = 1000 + start_ms + n * 1000 / hz + rng.gauss(0, jitter_ms)
            if rng.random() >= loss:
                arrived_ms = taken_ms + transport_ms + abs(rng.gauss(0, 1))
                frames.append((arrived_ms, stream, taken_ms - early_ms))
    estimator = OffsetEstimator()
    for arrived_ms, stream, stamp_ms in sorted(frames):
        estimator.observe(stream, round(stamp_ms * MS), round(arrived_ms * MS))
    return estimator


@pytest.mark.parametrize("offset_ms", [0.0, 10.0, -10.0, -120.0, 3_600_000.0])
@pytest.mark.parametrize("rates_hz", [(30, 30), (30, 60), (60, 30), (30, 9.1), (9.1, 30)])
def test_a_constant_offset_of_any_size_is_found(offset_ms, rates_hz):
    visible_hz, thermal_hz = rates_hz
    if 9.1 in rates_hz:  # incommensurable rates coincide nowhere: only triggered ones can
        thermal_hz = 10 if thermal_hz == 9.1 else thermal_hz
        visible_hz = 10 if visible_hz == 9.1 else visible_hz
    estimate_ns = observe(
        offset_ms=offset_ms, visible_hz=visible_hz, thermal_hz=thermal_hz
    ).estimate_ns()
    assert estimate_ns is not None
    assert abs(estimate_ns / MS - offset_ms) < 1.0


def test_lost_frames_do_not_change_the_estimate():
    estimate_ns = observe(offset_ms=12.0, loss=0.2).estimate_ns()
    assert estimate_ns is not None
    assert abs(estimate_ns / MS - 12.0) < 1.0


def test_too_few_frames_get_no_hint():
    assert observe(seconds=0.5).estimate_ns() is None


@pytest.mark.parametrize("rates_hz", [(30, 30), (30, 10), (10, 30)])
@pytest.mark.parametrize(
    ("early_ms", "in_use_ms", "step_ms"),
    [(0, 0, 0), (1, 0, 1), (12, 0, 2), (-12, 0, -2), (-301, -300, -1), (7, 12, -2), (16.5, 0, 0)],
)
def test_a_step_is_bounded_and_goes_to_the_next_agreement(rates_hz, early_ms, in_use_ms, step_ms):
    visible_hz, thermal_hz = rates_hz
    for transport_ms in (5.0, 1026.0):  # arrival times have no effect
        estimator = observe(
            offset_ms=early_ms,
            visible_hz=visible_hz,
            thermal_hz=thermal_hz,
            thermal_transport_ms=transport_ms,
        )
        assert estimator.step_ns(in_use_ms * MS) / MS == pytest.approx(step_ms, abs=0.6)


def test_free_running_cameras_get_no_step():
    assert observe(offset_ms=12.0, visible_hz=30.0, thermal_hz=27.3).step_ns(0) == 0
    assert OffsetEstimator().step_ns(0) == 0


@pytest.mark.parametrize("late", list(Stream))
def test_a_backlog_of_one_stream_is_no_distance_of_the_clocks(late):
    """After five timely seconds, frames of one camera come a full queue (1.03 s) late."""
    estimator = OffsetEstimator()
    arrivals = sorted(
        (stamp_ms + (1030 if stream is late and stamp_ms > 5000 else 5), stream, stamp_ms)
        for stream in Stream
        for stamp_ms in range(1000, 120_000, 33)
    )
    for arrived_ms, stream, stamp_ms in arrivals:
        estimator.observe(stream, stamp_ms * MS, arrived_ms * MS)
    assert estimator.clock_distance() is None
    assert estimator.estimate_ns() in (0, None)


def test_a_looped_recording_restarts_the_estimate():
    estimator = observe(offset_ms=10.0)
    estimator.observe(Stream.VISIBLE, 0, 10**12)
    assert estimator.estimate_ns() is None
