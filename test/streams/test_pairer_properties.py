# SPDX-License-Identifier: Apache-2.0
"""Invariants of the pairer on random schedules with jumps."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from pairing_schedules import MS, Camera, Event, greedy_skews, merge, most_pairs

from fusion_ros.streams.ledger import Fate, FrameLedger, Stream
from fusion_ros.streams.pairer import FramePairer, Pair
from fusion_ros.streams.waiting import MOST_WAITING

cameras = st.builds(
    Camera,
    rate_hz=st.sampled_from([7.5, 9.0, 25.0, 29.97, 30.0, 60.0]),
    offset_ms=st.floats(-60, 60),
    jitter_ms=st.sampled_from([0.0, 0.5, 5.0, 30.0]),
    loss=st.sampled_from([0.0, 0.02, 0.5]),
    late_jitter_ms=st.sampled_from([0.0, 2.0, 100.0]),
    overtaking=st.booleans(),
)


@st.composite
def schedules(draw: st.DrawFn) -> list[Event]:
    """One to three rounds of two cameras; time jumps, either way, between the rounds."""
    events: list[Event] = []
    for _ in range(draw(st.integers(1, 3))):
        seed = draw(st.integers(0, 2**16))
        jump = draw(st.sampled_from([0, -300 * MS, -5_000 * MS, 7_000 * MS]))
        seconds = draw(st.sampled_from([0.3, 1.5]))
        visible, thermal = (draw(cameras).frames(seconds, seed + n) for n in (0, 1))
        events += [Event(e.arrival, e.stream, e.stamp + jump) for e in merge(visible, thermal)]
    for at in draw(st.lists(st.integers(0, max(0, len(events) - 1)), max_size=4)):
        if events:
            events.insert(at, events[at])  # a frame delivered twice
    return events


# Small whole numbers make ties, equal stamps and full queues common.
tangles = st.lists(
    st.builds(
        Event,
        arrival=st.just(0),
        stream=st.sampled_from(Stream),
        stamp=st.integers(0, 60).map(lambda n: n * 10 * MS),
    ),
    max_size=60,
)


@given(
    events=st.one_of(schedules(), tangles),
    tolerance_ms=st.sampled_from([0, 5, 20, 50, 200]),
    queue_size=st.integers(1, 9),
    wait_ms=st.sampled_from([0, 0, 100]),
    offset_ms=st.sampled_from([0, -45, 17]),
)
@settings(max_examples=300)
def test_every_frame_has_one_fate_and_every_pair_is_valid(
    events: list[Event], tolerance_ms: int, queue_size: int, wait_ms: int, offset_ms: int
) -> None:
    ledger = FrameLedger()
    pairer: FramePairer[int] = FramePairer(
        tolerance_ns=tolerance_ms * MS,
        ledger=ledger,
        queue_size=queue_size,
        wait_ns=wait_ms * MS,
        thermal_offset_ns=offset_ms * MS,
    )
    used: dict[Stream, set[int]] = {stream: set() for stream in Stream}
    last: Pair[int] | None = None
    jumps_at_last = [0, 0]
    own_jumps = dict.fromkeys(Stream, 0)
    newest: dict[Stream, int] = {}

    def check(pairs: list[Pair[int]]) -> None:
        nonlocal last, jumps_at_last
        for pair in pairs:
            assert pair.visible not in used[Stream.VISIBLE]
            assert pair.thermal not in used[Stream.THERMAL]
            used[Stream.VISIBLE].add(pair.visible)
            used[Stream.THERMAL].add(pair.thermal)
            assert abs(pair.skew_ns) <= tolerance_ms * MS
            assert pair.skew_ns == pair.thermal_stamp_ns + offset_ms * MS - pair.visible_stamp_ns
            assert events[pair.visible].stamp == pair.visible_stamp_ns
            assert events[pair.thermal].stamp == pair.thermal_stamp_ns
            if last is not None:
                if own_jumps[Stream.VISIBLE] == jumps_at_last[0]:
                    assert pair.visible_stamp_ns > last.visible_stamp_ns
                if own_jumps[Stream.THERMAL] == jumps_at_last[1]:
                    assert pair.thermal_stamp_ns > last.thermal_stamp_ns
            last, jumps_at_last = pair, list(own_jumps.values())

    for index, event in enumerate(events):
        # The jumps, found here by their definition: 500 ms or more behind the newest of the stream.
        high = newest.get(event.stream, event.stamp)
        jumped = high - event.stamp >= 500 * MS
        own_jumps[event.stream] += jumped
        newest[event.stream] = event.stamp if jumped else max(high, event.stamp)
        check(pairer.add(event.stream, event.stamp, index))
        for stream, side in ((Stream.VISIBLE, pairer._visible), (Stream.THERMAL, pairer._thermal)):
            waiting = getattr(ledger.snapshot(), stream.value).pending - len(used[stream])
            assert waiting == len(side.stamps)
            assert waiting <= (max(queue_size, MOST_WAITING) if wait_ms else queue_size)
    assert pairer.jumps == max(own_jumps.values())
    check(pairer.flush())
    for _ in used[Stream.VISIBLE]:
        ledger.settle_pair(Fate.FUSED)
    snapshot = ledger.snapshot()
    for stream, counts in ((Stream.VISIBLE, snapshot.visible), (Stream.THERMAL, snapshot.thermal)):
        assert counts.pending == 0
        assert counts.received == sum(event.stream is stream for event in events)
        assert counts.fused == len(used[stream])
    assert snapshot.visible.fused == snapshot.thermal.fused


@given(events=schedules(), tolerance_ms=st.sampled_from([5, 20, 50]))
@settings(max_examples=30)
def test_the_same_frames_in_the_same_order_give_the_same_pairs(
    events: list[Event], tolerance_ms: int
) -> None:
    def run() -> tuple[list[tuple[int, Pair[int]]], object]:
        ledger = FrameLedger()
        pairer: FramePairer[int] = FramePairer(tolerance_ns=tolerance_ms * MS, ledger=ledger)
        given_out = []
        for index, event in enumerate(events):
            given_out += [(index, pair) for pair in pairer.add(event.stream, event.stamp, index)]
        return given_out, ledger.snapshot()

    assert run() == run()


def brute_force(visible: list[int], thermal: list[int], tolerance: int) -> int:
    if not visible:
        return 0
    best = brute_force(visible[1:], thermal, tolerance)
    for place, stamp in enumerate(thermal):
        if abs(stamp - visible[0]) <= tolerance:
            rest = thermal[:place] + thermal[place + 1 :]
            best = max(best, 1 + brute_force(visible[1:], rest, tolerance))
    return best


stamps = st.lists(st.integers(0, 30), max_size=5, unique=True)


@given(visible=stamps, thermal=stamps, tolerance=st.integers(0, 10))
def test_the_reference_matching_agrees_with_trying_everything(
    visible: list[int], thermal: list[int], tolerance: int
) -> None:
    assert most_pairs(visible, thermal, tolerance) == brute_force(visible, thermal, tolerance)


def test_the_reference_greedy_rule_takes_the_first_within_slop_and_excludes_the_slop_itself() -> (
    None
):
    def events(*stamps_ms: tuple[Stream, int]) -> list[Event]:
        return [Event(n, stream, ms * MS) for n, (stream, ms) in enumerate(stamps_ms)]

    thermal, visible = Stream.THERMAL, Stream.VISIBLE
    assert greedy_skews(events((thermal, 0), (visible, 40), (thermal, 42)), 50 * MS) == [40 * MS]
    assert greedy_skews(events((thermal, 0), (visible, 40)), 40 * MS) == []
