# SPDX-License-Identifier: Apache-2.0
"""The pairer on small schedules: pairs, their time, and the fates of other frames."""

from __future__ import annotations

import pytest
from pairing_schedules import MS

from fusion_ros.streams.ledger import Fate, FrameLedger, LedgerSnapshot, Stream, StreamCounts
from fusion_ros.streams.pairer import FramePairer, Pair

PERIOD = 33  # milliseconds, for schedules at 30 Hz


class Bench:
    """A pairer whose stamps are whole milliseconds; settles every pair as fused."""

    def __init__(self, tolerance_ms: int = 20, **kwargs: int) -> None:
        self.ledger = FrameLedger()
        self.pairer: FramePairer[str] = FramePairer(
            tolerance_ns=tolerance_ms * MS, ledger=self.ledger, **kwargs
        )

    def visible(self, stamp_ms: int) -> list[tuple[int, int]]:
        return self._fused(self.pairer.add(Stream.VISIBLE, stamp_ms * MS, f"v{stamp_ms}"))

    def thermal(self, stamp_ms: int) -> list[tuple[int, int]]:
        return self._fused(self.pairer.add(Stream.THERMAL, stamp_ms * MS, f"t{stamp_ms}"))

    def flush(self) -> list[tuple[int, int]]:
        return self._fused(self.pairer.flush())

    def learn(self, frames: int = 10, thermal_offset_ms: int = 0) -> int:
        """Runs both streams at 30 Hz and returns the stamp of the next visible frame."""
        for n in range(frames):
            self.visible(n * PERIOD)
            self.thermal(n * PERIOD + thermal_offset_ms)
        return frames * PERIOD

    @property
    def counts(self) -> LedgerSnapshot:
        return self.ledger.snapshot()

    def _fused(self, pairs: list[Pair[str]]) -> list[tuple[int, int]]:
        for pair in pairs:
            assert pair.visible == f"v{pair.visible_stamp_ns // MS}"
            assert pair.thermal == f"t{pair.thermal_stamp_ns // MS}"
            self.ledger.settle_pair(Fate.FUSED)
        return [(p.visible_stamp_ns // MS, p.thermal_stamp_ns // MS) for p in pairs]


def nonzero(counts: StreamCounts) -> dict[str, int]:
    return {key: value for key, value in counts.as_dict().items() if value and key != "received"}


def test_equal_stamps_pair_at_once() -> None:
    bench = Bench()
    assert bench.visible(100) == []
    assert bench.thermal(100) == [(100, 100)]


def test_the_nearer_frame_is_preferred_to_the_first_within_tolerance() -> None:
    # message_filters takes 40 ms here, because it comes first.
    bench = Bench(tolerance_ms=50)
    bench.thermal(0)
    assert bench.visible(40) == []
    assert bench.thermal(42) + bench.visible(73) == [(40, 42)]
    bench.flush()
    assert nonzero(bench.counts.thermal) == {"fused": 1, "unpaired": 1}


def test_a_frame_without_its_nearest_partner_is_paired_with_the_next() -> None:
    bench = Bench(tolerance_ms=20)
    # 15 would rather have 29, but 29 has 30: so 0 keeps 15.
    assert bench.visible(0) + bench.thermal(15) + bench.visible(29) == []
    assert bench.thermal(30) == [(0, 15)]
    assert bench.flush() == [(29, 30)]


@pytest.mark.parametrize(
    ("skew_ms", "paired"), [(20, True), (-20, True), (21, False), (-21, False)]
)
def test_the_tolerance_is_inclusive(skew_ms: int, paired: bool) -> None:
    bench = Bench(tolerance_ms=20)
    pairs = bench.visible(100) + bench.thermal(100 + skew_ms) + bench.flush()
    assert pairs == ([(100, 100 + skew_ms)] if paired else [])


def test_a_tolerance_of_zero_pairs_equal_stamps() -> None:
    bench = Bench(tolerance_ms=0)
    assert bench.thermal(1) + bench.visible(2) + bench.thermal(2) == [(2, 2)]


def test_the_skew_is_thermal_stamp_plus_offset_minus_visible_stamp() -> None:
    ledger = FrameLedger()
    pairer: FramePairer[str] = FramePairer(
        tolerance_ns=5 * MS, ledger=ledger, thermal_offset_ns=-45 * MS
    )
    pairer.add(Stream.VISIBLE, 100 * MS, "v")
    pairer.add(Stream.THERMAL, 147 * MS, "t")
    (pair,) = pairer.flush()
    assert pair == Pair("v", "t", 100 * MS, 147 * MS, 2 * MS)


def test_tolerance_and_offset_can_change_while_running() -> None:
    bench = Bench(tolerance_ms=5)
    bench.visible(100)
    bench.thermal(147)
    bench.pairer.thermal_offset_ns = -45 * MS
    bench.pairer.tolerance_ns = 1 * MS
    assert bench.visible(133) + bench.thermal(180) == []
    bench.pairer.tolerance_ns = 2 * MS
    assert bench.flush() == [(100, 147), (133, 180)]


def test_before_the_period_is_known_a_pair_waits_for_a_nearer_frame() -> None:
    bench = Bench()
    assert bench.visible(0) + bench.thermal(10) == []
    assert bench.visible(33) == [(0, 10)]


@pytest.mark.parametrize("offset_ms", [10, -10, 15, -15])
def test_once_the_period_is_known_a_constant_offset_adds_no_latency(offset_ms: int) -> None:
    bench = Bench()
    start = 0
    if offset_ms < 0:  # the earlier camera's frame arrives first
        bench.thermal(offset_ms)
    for n in range(40):
        v, t = start + n * PERIOD, start + n * PERIOD + offset_ms
        if offset_ms > 0:
            given = [bench.visible(v), bench.thermal(t)]
        else:
            given = [bench.thermal(t), bench.visible(v)] if n else [[], bench.visible(v)]
        if n > 10:
            assert given == [[], [(v, t)]]
    assert bench.counts.visible.fused >= 39


def test_after_a_rise_of_the_rate_the_nearest_frames_are_paired_within_six_pairs() -> None:
    bench = Bench()
    at = bench.learn(frames=40)
    pairs = []
    # Visible triples its rate and is 8 ms ahead of thermal at the worst, then 3 ms behind.
    for n in range(60):
        pairs += bench.visible(at + 11 * n)
        if n % 3 == 0:
            pairs += bench.thermal(at + 11 * n + 8)
    skews = [abs(t - v) for v, t in pairs]
    assert max(skews) == 8
    assert skews[6:] == [3] * len(skews[6:])
    assert len(skews) >= 19


def test_a_stream_that_slows_down_is_still_paired_completely() -> None:
    bench = Bench()
    at = bench.learn(frames=40)
    pairs = []
    for n in range(20):
        pairs += bench.visible(at + 111 * n) + bench.thermal(at + 111 * n + 12)
    assert len(pairs + bench.flush()) == 20


def test_a_frame_of_the_faster_stream_ends_unpaired_once_a_nearer_one_has_paired() -> None:
    bench = Bench()
    for stamp in range(0, 100, 11):
        bench.thermal(stamp)
        if stamp % 33 == 0:
            bench.visible(stamp)
    assert nonzero(bench.counts.visible) == {"fused": 4}
    assert nonzero(bench.counts.thermal) == {"fused": 4, "unpaired": 6}


def test_a_frame_out_of_order_still_finds_its_partner() -> None:
    bench = Bench()
    assert bench.visible(0) + bench.thermal(33) + bench.thermal(0) == [(0, 0)]
    assert bench.visible(33) == [(33, 33)]


def test_a_frame_older_than_the_last_pair_is_late() -> None:
    bench = Bench()
    bench.visible(33), bench.thermal(33)
    assert bench.thermal(0) == []
    assert nonzero(bench.counts.thermal) == {"fused": 1, "late": 1}


@pytest.mark.parametrize("again_ms", [0, 33, 66])
def test_a_stamp_seen_before_is_a_duplicate_whether_used_or_waiting(again_ms: int) -> None:
    bench = Bench()
    bench.visible(0), bench.thermal(0)
    bench.visible(33), bench.thermal(33)
    bench.visible(66)
    assert bench.visible(again_ms) == []
    assert nonzero(bench.counts.visible) == {"fused": 2, "duplicate": 1, "pending": 1}


def test_frames_of_a_driver_with_one_stamp_are_duplicates() -> None:
    bench = Bench()
    for n in range(20):
        bench.visible(n * PERIOD)
        bench.thermal(0)
    assert bench.counts.thermal.duplicate == 19


def test_while_the_other_camera_is_silent_the_queue_drops_its_oldest_frames() -> None:
    bench = Bench(queue_size=4, wait_ns=0)
    for n in range(10):
        bench.visible(n * PERIOD)
    assert nonzero(bench.counts.visible) == {"unpaired": 6, "pending": 4}
    assert bench.thermal(6 * PERIOD) == [(6 * PERIOD, 6 * PERIOD)]


def test_a_full_queue_returns_a_pair_that_waits_for_a_silent_camera() -> None:
    bench = Bench(queue_size=2, wait_ns=0)
    assert bench.visible(0) + bench.thermal(10) == []
    assert bench.thermal(43) == []
    assert bench.thermal(76) == [(0, 10)]


def test_a_queue_of_one_still_pairs() -> None:
    bench = Bench(queue_size=1, wait_ns=0)
    pairs = []
    for n in range(10):
        pairs += bench.visible(n * PERIOD) + bench.thermal(n * PERIOD + 3)
    assert len(pairs + bench.flush()) == 10


@pytest.mark.parametrize("first", ["visible", "thermal"])
def test_a_looped_bag_pairs_from_its_first_frames_and_counts_one_jump(first: str) -> None:
    bench = Bench()
    bench.learn(frames=100)
    order = [bench.visible, bench.thermal] if first == "visible" else [bench.thermal, bench.visible]
    for loop in (1, 2):
        assert order[0](0) == []
        assert order[1](0) == [(0, 0)]
        assert bench.pairer.jumps == loop
        for n in range(1, 100):
            bench.visible(n * PERIOD), bench.thermal(n * PERIOD)
    assert nonzero(bench.counts.visible) == {"fused": 300}


def test_a_loop_pairs_at_once_even_if_one_camera_jumps_some_frames_later() -> None:
    bench = Bench()
    end = bench.learn(frames=100)
    assert bench.visible(0) == []
    assert bench.thermal(end) == []  # the last frame of the round before
    assert bench.visible(33) == []
    assert bench.thermal(0) == [(0, 0)]
    assert bench.thermal(33) == [(33, 33)]
    assert bench.pairer.jumps == 1
    assert nonzero(bench.counts.thermal) == {"fused": 102, "unpaired": 1}


def test_less_than_the_threshold_is_reordering_and_the_threshold_itself_is_a_jump() -> None:
    for back_ms, jumps in ((499, 0), (500, 1)):
        bench = Bench()
        bench.visible(1000), bench.thermal(1000)
        bench.visible(1000 - back_ms)
        assert bench.pairer.jumps == jumps
        assert bench.counts.visible.late == 1 - jumps


@pytest.mark.parametrize("ahead_ms", [1000, 10_000_000])
def test_a_jump_forward_is_harmless(ahead_ms: int) -> None:
    bench = Bench()
    at = bench.learn() + ahead_ms
    for n in range(10):
        assert bench.thermal(at + n * PERIOD) == []
        assert bench.visible(at + n * PERIOD) == [(at + n * PERIOD, at + n * PERIOD)]
    assert bench.pairer.jumps == 0


def test_one_absurd_stamp_far_ahead_affects_only_its_frame() -> None:
    bench = Bench()
    at = bench.learn()
    bench.visible(at + 10**9)
    assert bench.visible(at) == []
    assert bench.thermal(at) == [(at, at)]
    assert nonzero(bench.counts.visible) == {"fused": 11, "unpaired": 1}


def test_flush_decides_all_waiting_frames() -> None:
    bench = Bench()
    bench.visible(0), bench.thermal(10), bench.thermal(60)
    assert bench.flush() == [(0, 10)]
    assert bench.counts.visible.pending == bench.counts.thermal.pending == 0
    assert nonzero(bench.counts.thermal) == {"fused": 1, "unpaired": 1}


def test_after_reset_earlier_stamps_are_paired_and_no_jump_is_counted() -> None:
    bench = Bench()
    bench.learn()
    bench.visible(400)
    bench.pairer.reset()
    assert nonzero(bench.counts.visible) == {"fused": 10, "unpaired": 1}
    assert bench.visible(0) + bench.thermal(0) == [(0, 0)]
    assert bench.pairer.jumps == 0
