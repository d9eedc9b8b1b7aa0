# SPDX-License-Identifier: Apache-2.0
"""Health is judged by time, not by frames: the same verdicts from 1 Hz to 120 Hz."""

from __future__ import annotations

import random

import numpy as np
import pytest

from fusion_ros.imaging.encodings import ChannelOrder, PixelFrame
from fusion_ros.nodes.fuse.reporting.recent_counts import CountHistory
from fusion_ros.nodes.runtime.log_lines import RepeatedEvents
from fusion_ros.parameters import FuseParameters
from fusion_ros.replay.log import FrameEntry
from fusion_ros.replay.stream_watcher import StreamWatcher
from fusion_ros.streams.clock_offset import LARGEST_OFFSET_MS, OffsetEstimator, remedy
from fusion_ros.streams.intake import Observation
from fusion_ros.streams.ledger import Fate, FrameLedger, Stream
from fusion_ros.streams.pairer import FramePairer
from fusion_ros.streams.stream_health import StreamWatch
from fusion_ros.streams.waiting import MOST_WAITING

RATES_HZ = (1, 5, 9, 30, 60, 120)
S = 1_000_000_000
MS = 1_000_000


@pytest.fixture(params=RATES_HZ, ids=lambda hz: f"{hz} Hz")
def hz(request) -> int:
    return request.param


def scene(seed: int) -> np.ndarray:
    ramp = np.linspace(30000, 31000, 64)[None, :] + np.zeros((48, 1))
    return (ramp + np.random.default_rng(seed).normal(0, 5, ramp.shape)).astype(np.uint16)


def flat(seed: int) -> np.ndarray:
    return (30500 + np.random.default_rng(seed).normal(0, 5, (48, 64))).astype(np.uint16)


def test_a_closed_shutter_is_known_after_seconds_at_any_rate(hz):
    watch = StreamWatch(0)
    frames = max(4, 3 * hz)
    for n in range(frames):
        assert watch.examine(scene(n), n * S // hz)
    assert not watch.examine(flat(0), frames * S // hz)


def test_a_regular_stream_is_not_lost_between_its_frames_and_a_dead_one_is(hz):
    watch, timeout_ms = StreamWatch(0), 1000.0
    chance = random.Random(3)
    for n in range(1, 4 * hz + 6):
        now_ns = round((n + chance.uniform(-0.1, 0.1)) * S / hz)
        # The first frames of 1 Hz cannot be told from a lost stream: no period is known yet.
        if n > 3:
            assert watch.silent_for_ms(now_ns) <= watch.timeout_ms(timeout_ms)
        watch.examine(scene(n), now_ns)
    assert watch.timeout_ms(timeout_ms) <= max(timeout_ms, 2600.0 / hz)


@pytest.mark.parametrize("apart_s", [37.0, -37.0, 5.0, 1_700_000_000.0, -86_400.0 * 300])
def test_clocks_that_are_seconds_apart_are_noticed_within_seconds(hz, apart_s):
    estimator = OffsetEstimator()
    for n in range(max(3, 3 * hz)):
        at_ns = 1_700_000_000 * S + n * S // hz
        estimator.observe(Stream.VISIBLE, at_ns, n * S // hz)
        estimator.observe(Stream.THERMAL, at_ns - round(apart_s * S), n * S // hz)
    found = estimator.clock_distance()
    assert found is not None
    assert found.offset_ns == pytest.approx(apart_s * S, abs=1000)
    assert (found.visible_stamp_ns, found.thermal_stamp_ns) == (
        at_ns,
        at_ns - round(apart_s * S),
    )


def test_clocks_that_agree_are_not_reported(hz):
    estimator = OffsetEstimator()
    for n in range(5 * hz + 3):
        for stream, delay_ns in ((Stream.VISIBLE, 0), (Stream.THERMAL, 300 * MS)):
            estimator.observe(stream, n * S // hz, n * S // hz + delay_ns)
    assert estimator.clock_distance() is None


@pytest.mark.parametrize("other_hz", [30, 120])
def test_a_constant_offset_is_found_at_any_rate(hz, other_hz):
    """Triggered cameras; twelve seconds are enough at 1 Hz."""
    chance, estimator, frames = random.Random(5), OffsetEstimator(), []
    fastest = max(hz, other_hz)
    if fastest % hz or fastest % other_hz:
        pytest.skip("no common trigger")
    for stream, rate, early_ms in ((Stream.VISIBLE, other_hz, 0), (Stream.THERMAL, hz, 700)):
        for n in range(13 * rate):
            taken_ms = 1000 + n * 1000 / rate
            frames.append((taken_ms + 3 + chance.random(), stream, taken_ms - early_ms))
    for arrived_ms, stream, stamp_ms in sorted(frames):
        estimator.observe(stream, round(stamp_ms * MS), round(arrived_ms * MS))
    estimate_ns = estimator.estimate_ns()
    assert estimate_ns is not None
    assert estimate_ns / MS == pytest.approx(700, abs=1.0)


def test_free_running_cameras_get_no_hint_at_any_rate(hz):
    for seed in range(20):
        chance, estimator, frames = random.Random(seed), OffsetEstimator(), []
        for stream, rate in ((Stream.VISIBLE, hz), (Stream.THERMAL, hz * 0.93)):
            start_ms = chance.uniform(0, 1000 / hz)
            for n in range(int(14 * rate)):
                taken_ms = 1000 + start_ms + n * 1000 / rate
                frames.append((taken_ms + 3, stream, taken_ms))
        for arrived_ms, stream, stamp_ms in sorted(frames):
            estimator.observe(stream, round(stamp_ms * MS), round(arrived_ms * MS))
        assert estimator.estimate_ns() is None


@pytest.mark.parametrize(
    "offset_ms", [37_000.0, -37_000.0, 300.04, 3_600_001.0, 1.7e12, -1.7e12, LARGEST_OFFSET_MS]
)
def test_every_advised_value_is_one_that_the_parameters_take(offset_ms):
    advised = remedy(offset_ms)
    values = FuseParameters.from_values({advised.parameter: advised.value})
    assert getattr(values, advised.parameter) == advised.value
    if advised.parameter == "thermal_offset_ms":
        assert values.thermal_offset_ms == pytest.approx(offset_ms, abs=0.1)
    else:
        assert values.stamp_source == "arrival"


def test_recent_counts_cover_seconds_at_any_rate(hz):
    ledger, now_s = FrameLedger(), [0.0]
    history = CountHistory(ledger.snapshot(), clock_ns=lambda: round(now_s[0] * 1e9))
    for second in range(1, 31):
        for _ in range(hz):
            ledger.receive(Stream.VISIBLE)
            if second <= 15:
                ledger.settle(Stream.VISIBLE, Fate.REJECTED, "zero_stamp")
        now_s[0] = float(second)
        history.add(ledger.snapshot())
    recent = history.recent()
    assert recent.seconds == 10.0
    assert recent.counts.visible.received == 10 * hz
    assert recent.counts.visible.rejected_by_reason == {}
    assert history.recent(4.0).counts.visible.received == 4 * hz
    history.restart(ledger.snapshot())
    assert history.recent().counts.visible.received == 0


def test_a_gain_jump_is_found_at_any_rate(hz):
    watcher = StreamWatcher(detect_flat=False)
    jumps = []
    for n in range(3 * hz + 8):
        pixels = scene(n) + np.uint16(2000 if n >= 2 * hz + 4 else 0)
        frame = PixelFrame(pixels, ChannelOrder.GREY)
        entry = FrameEntry(Stream.THERMAL, n, n * S // hz, None)
        watcher.look(entry, Observation(frame), "mono16")
        if entry.jump:
            jumps.append(n)
    assert jumps == [2 * hz + 4]


def test_pairs_are_found_at_any_rate(hz):
    ledger = FrameLedger()
    pairer = FramePairer(tolerance_ns=min(20 * MS, S // hz // 3), ledger=ledger)
    pairs = []
    for n in range(20 * max(1, hz // 10) + 10):
        stamp_ns = S + n * S // hz
        pairs += pairer.add(Stream.VISIBLE, stamp_ns, n)
        pairs += pairer.add(Stream.THERMAL, stamp_ns + S // hz // 5 * (hz > 9), n)
    pairs += pairer.flush()
    assert all(pair.visible == pair.thermal for pair in pairs)
    assert len(pairs) == 20 * max(1, hz // 10) + 10


@pytest.mark.parametrize("late", [Stream.VISIBLE, Stream.THERMAL])
def test_a_camera_that_delivers_300_ms_late_pairs_at_any_rate(hz, late):
    arrivals = [
        (n * S // hz + (300 * MS if stream is late else 0), stream, n)
        for n in range(3 * hz + 3)
        for stream in Stream
    ]
    ledger = FrameLedger()
    pairer = FramePairer(tolerance_ns=min(20 * MS, S // hz // 3), ledger=ledger)
    pairs = []
    for _, stream, n in sorted(arrivals, key=lambda arrival: arrival[0]):
        pairs += pairer.add(stream, S + n * S // hz, n)
    assert [(pair.visible, pair.thermal) for pair in pairs] == [(n, n) for n in range(3 * hz + 3)]


def test_a_stream_without_a_partner_keeps_half_a_second_and_a_bounded_number(hz):
    ledger = FrameLedger()
    pairer = FramePairer(tolerance_ns=20 * MS, ledger=ledger)
    for n in range(10 * hz):
        pairer.add(Stream.VISIBLE, S + n * S // hz, n)
    assert ledger.snapshot().visible.pending == max(min(8, 10 * hz), hz // 2 + 1)


def test_stamps_that_hardly_advance_do_not_fill_the_memory():
    ledger = FrameLedger()
    pairer = FramePairer(tolerance_ns=20 * MS, ledger=ledger)
    for n in range(1000):
        pairer.add(Stream.VISIBLE, S + n, n)
    assert ledger.snapshot().visible.pending == MOST_WAITING


def test_an_event_of_every_frame_is_logged_at_a_limited_rate(hz):
    lines, now_s = [], [0.0]
    log = RepeatedEvents(lines.append, clock_s=lambda: now_s[0])
    for n in range(130 * hz):
        now_s[0] = n / hz
        log("format", f"changed {n}")
    log("another kind", "once")
    assert len(lines) == 4
    assert lines[0] == "changed 0"
    assert str(60 * hz - 1) in lines[1]
