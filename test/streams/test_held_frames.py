# SPDX-License-Identifier: Apache-2.0
"""Held thermal frames: visible frames without a partner, beside a slower thermal camera."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pairing_schedules import MS, SECOND, Camera, Event, merge
from test_pairer_properties import schedules, tangles

from fusion_ros.streams.ledger import Fate, FrameLedger, Stream
from fusion_ros.streams.pairer import FramePairer, Pair

TOLERANCE = 20 * MS


class Run:
    """The real pairer on a schedule; every pair is fused. A frame's payload is its position."""

    def __init__(self, events: list[Event], hold_ns: int | None, tolerance: int = TOLERANCE):
        self.ledger = FrameLedger()
        self.pairs: list[Pair[int]] = []
        self.delays: list[int] = []
        pairer: FramePairer[int] = FramePairer(
            tolerance_ns=tolerance, ledger=self.ledger, hold_ns=hold_ns
        )
        for at, event in enumerate(events):
            pairs = pairer.add(event.stream, event.stamp, at)
            self.delays += [event.arrival - events[pair.visible].arrival for pair in pairs]
            self._settle(pairs)
        self._settle(pairer.flush())

    def _settle(self, pairs: list[Pair[int]]) -> None:
        self.pairs += pairs
        for pair in pairs:
            self.ledger.settle_pair(Fate.FUSED, is_held=pair.is_held)

    @property
    def partners(self) -> list[tuple[int, int]]:
        return [(pair.visible, pair.thermal) for pair in self.pairs if not pair.is_held]


def rig(visible_hz: float, thermal_hz: float, seconds: float = 6.0, **thermal) -> list[Event]:
    visible = Camera(rate_hz=visible_hz).frames(seconds, 1)
    return merge(visible, Camera(rate_hz=thermal_hz, **thermal).frames(seconds, 2))


@given(
    events=st.one_of(schedules(), tangles),
    hold_ms=st.sampled_from([None, 15, 100, 1000]),
    tolerance_ms=st.sampled_from([0, 5, 20, 50]),
)
@settings(max_examples=200)
def test_every_frame_has_one_fate_and_held_pairs_are_within_reach(events, hold_ms, tolerance_ms):
    hold_ns = None if hold_ms is None else hold_ms * MS
    run = Run(events, hold_ns, tolerance_ms * MS)
    counts = run.ledger.snapshot()
    for stream, of_stream in ((Stream.VISIBLE, counts.visible), (Stream.THERMAL, counts.thermal)):
        assert of_stream.pending == 0
        assert of_stream.received == sum(event.stream is stream for event in events)
    assert counts.thermal.held == 0
    assert counts.visible.held == sum(pair.is_held for pair in run.pairs)
    assert counts.visible.fused == counts.thermal.fused == len(run.partners)
    assert max(Counter(pair.visible for pair in run.pairs).values(), default=1) == 1
    assert max(Counter(thermal for _, thermal in run.partners).values(), default=1) == 1
    for pair in run.pairs:
        assert pair.skew_ns == pair.thermal_stamp_ns - pair.visible_stamp_ns
        if not pair.is_held:
            assert abs(pair.skew_ns) <= tolerance_ms * MS
        elif hold_ns is not None:
            assert abs(pair.skew_ns) <= hold_ns


@given(
    rates_hz=st.sampled_from([(30, 9), (30, 7.5), (60, 9), (30, 15), (25, 8.6), (30, 30), (9, 30)]),
    thermal=st.builds(
        dict,
        offset_ms=st.floats(-60, 60),
        late_ms=st.sampled_from([5.0, 40.0, 120.0, 300.0]),
        jitter_ms=st.sampled_from([0.0, 0.5]),
        loss=st.sampled_from([0.0, 0.05]),
    ),
)
@settings(max_examples=60)
def test_frames_with_a_partner_keep_it_and_stamps_never_go_back(rates_hz, thermal):
    events = rig(*rates_hz, **thermal)
    without, held = Run(events, 0), Run(events, None)
    assert held.partners == without.partners
    stamps = [pair.visible_stamp_ns for pair in held.pairs]
    assert stamps == sorted(stamps)


@pytest.mark.parametrize("rates_hz", [(30, 9), (60, 9), (30, 15), (25, 8.6)])
@pytest.mark.parametrize("late_ms", [5.0, 60.0])
def test_beside_a_slower_thermal_camera_every_visible_frame_is_fused(rates_hz, late_ms):
    run = Run(rig(*rates_hz, late_ms=late_ms), None)
    counts = run.ledger.snapshot().visible
    learned = next(pair for pair in run.pairs if pair.is_held).visible_stamp_ns
    assert learned - SECOND < 10 * SECOND / rates_hz[1]  # its period is known after nine frames
    missing = counts.received - counts.held - counts.fused
    assert missing <= 10 * rates_hz[0] / rates_hz[1]
    after = [pair for pair in run.pairs if pair.visible_stamp_ns > 2 * SECOND + SECOND]
    assert len(after) == pytest.approx(4 * rates_hz[0], abs=2)
    assert max(abs(pair.skew_ns) for pair in after) <= 1.5 * SECOND / rates_hz[1] + MS


def test_a_visible_frame_that_no_coming_thermal_frame_can_match_does_not_wait():
    run = Run(rig(30, 9, late_ms=5.0), None)
    delays = run.delays[len(run.delays) // 3 :]  # of frames after the period was learned
    assert sum(delay == 0 for delay in delays) > 0.5 * len(delays)
    assert max(delays) < 60 * MS


@pytest.mark.parametrize("rates_hz", [(30, 30), (30, 25), (9, 30)])
def test_beside_a_thermal_camera_that_is_not_slower_no_frame_is_held(rates_hz):
    assert Run(rig(*rates_hz, loss=0.1), None).ledger.snapshot().visible.held == 0


def test_no_frame_is_held_longer_than_the_reach():
    events = [e for e in rig(30, 9) if e.stream is Stream.VISIBLE or e.stamp < 4 * SECOND]
    run = Run(events, None)
    last_thermal = max(e.stamp for e in events if e.stream is Stream.THERMAL)
    oldest = max(pair.visible_stamp_ns for pair in run.pairs) - last_thermal
    assert 1.2 * SECOND / 9 < oldest <= 1.5 * SECOND / 9 + MS
    assert run.ledger.snapshot().visible.unpaired > 30


def test_a_given_reach_holds_from_the_first_frame_at_any_rate():
    events = [Event(n, Stream.VISIBLE, n * 30 * MS) for n in range(5)]
    events.insert(1, Event(0, Stream.THERMAL, 0))
    run = Run(events, 70 * MS)
    assert [(p.visible_stamp_ns // MS, p.is_held) for p in run.pairs] == [
        (0, False),
        (30, True),
        (60, True),
    ]
    assert run.ledger.snapshot().visible.unpaired == 2
