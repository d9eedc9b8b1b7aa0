# SPDX-License-Identifier: Apache-2.0
"""Rates, skews and latencies of the last seconds, with an injected clock."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_ros.nodes.fuse.reporting.telemetry import MAX_SAMPLES, Telemetry
from fusion_ros.streams.ledger import Stream
from fusion_ros.streams.series import percentiles

S = 1_000_000_000


class Clock:
    def __init__(self) -> None:
        self.now_ns = 100 * S

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_without_samples_latencies_are_nan(clock):
    snapshot = Telemetry(clock_ns=clock).snapshot()
    assert snapshot.window_s == 0
    assert snapshot.fused_hz == 0
    assert math.isnan(snapshot.latency_ms.p50)
    assert snapshot.stages_ms == {}


def test_rates_cover_the_window_only(clock):
    telemetry = Telemetry(clock_ns=clock)
    for _ in range(100):  # ten seconds at 10 Hz
        telemetry.arrived(Stream.VISIBLE, clock.now_ns)
        clock.now_ns += S // 10
    for _ in range(600):  # twenty at 30 Hz
        telemetry.arrived(Stream.VISIBLE, clock.now_ns)
        clock.now_ns += S // 30
    snapshot = telemetry.snapshot()
    assert snapshot.window_s == 10
    assert snapshot.stream_hz[Stream.VISIBLE] == pytest.approx(30, rel=1e-6)
    assert snapshot.stream_hz[Stream.THERMAL] == 0


def test_silence_is_counted_from_the_last_frame_or_from_the_start(clock):
    telemetry = Telemetry(clock_ns=clock)
    clock.now_ns += 2 * S
    telemetry.arrived(Stream.VISIBLE, clock.now_ns)
    clock.now_ns += S // 2
    silent_ms = telemetry.snapshot().silent_for_ms
    assert silent_ms == {Stream.VISIBLE: 500.0, Stream.THERMAL: 2500.0}


def test_skew_is_reported_as_magnitude_and_as_signed_median(clock):
    telemetry = Telemetry(clock_ns=clock)
    for skew_ms in (-8.0, -6.0, -4.0, 2.0):
        telemetry.fused(skew_ms=skew_ms, latency_ms=10.0, stages_ms={"infer": 5.0})
    snapshot = telemetry.snapshot()
    assert snapshot.skew_ms.p50 == 4.0
    assert snapshot.skew_ms.p95 == 8.0
    assert snapshot.signed_skew_ms_p50 == -6.0
    assert snapshot.stages_ms["infer"].p95 == 5.0


def test_memory_is_bounded_at_any_rate(clock):
    telemetry = Telemetry(clock_ns=clock)
    for _ in range(3 * MAX_SAMPLES):
        telemetry.arrived(Stream.THERMAL, clock.now_ns)
        clock.now_ns += 1000
    assert telemetry.snapshot().stream_hz[Stream.THERMAL] == pytest.approx(1e6)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=200))
def test_percentiles_equal_those_of_numpy_by_nearest_rank(values):
    expected = np.percentile(values, [50, 95], method="inverted_cdf")
    assert percentiles(values, (50, 95)) == pytest.approx(list(expected))
