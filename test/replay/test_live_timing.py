# SPDX-License-Identifier: Apache-2.0
"""The live replay without a fuse node: stamps, losses, and the rate search."""

from __future__ import annotations

import dataclasses
import itertools
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from fusion_ros.parameters import FuseParameters
from fusion_ros.replay.gate import NO_GATE
from fusion_ros.replay.live.messages import read_ahead
from fusion_ros.replay.live.one_pass import OnePass, findings_of
from fusion_ros.replay.live.page import write_page
from fusion_ros.replay.live.rate_search import MOST_LOSS, highest_rate
from fusion_ros.replay.live.time_line import (
    PlayedFrame,
    TimeLine,
    least_delay_ns,
    rate_hz,
    repeated,
    stamp_of,
    with_stamp,
)
from fusion_ros.streams.ledger import Fate, Stream

MS = 1_000_000
LAST_YEAR_NS = 1_700_000_000 * 1000 * MS
BEGIN_NS = 1_800_000_000 * 1000 * MS
PERIOD_MS = 50


def frames(
    count: int = 10,
    *,
    thermal_late_ms: int = 0,
    clock_off_ms: int = 0,
    delay_ms: Callable[[int], int] = lambda n: 5,
) -> list[PlayedFrame]:
    """Two cameras at 20 Hz whose frames arrive `delay_ms` after they were taken."""
    result = []
    for n in range(count):
        taken_ns = LAST_YEAR_NS + n * PERIOD_MS * MS
        arrived_ns = taken_ns + delay_ms(n) * MS
        for stream in Stream:
            late_ns = thermal_late_ms * MS if stream is Stream.THERMAL else 0
            stamp_ns = taken_ns + clock_off_ms * MS + late_ns
            result.append(PlayedFrame(stream, arrived_ns, stamp_ns, b""))
    return result


def line_for(played: list[PlayedFrame], rate: float, offset_ms: int = 0) -> TimeLine:
    delay_ns = least_delay_ns(played, offset_ms * MS)
    return TimeLine(rate, BEGIN_NS, played[0].arrived_ns, delay_ns, offset_ms * MS)


@pytest.mark.parametrize("clock_off_ms", [0, -3_600_000, 40])
@pytest.mark.parametrize("rate", [0.5, 1.0, 4.0])
def test_the_frame_of_least_delay_is_stamped_with_its_due_time_for_any_recorded_clock(
    rate: float, clock_off_ms: int
) -> None:
    played = frames(clock_off_ms=clock_off_ms, delay_ms=lambda n: 30 if n == 4 else 5)
    line = line_for(played, rate)
    ages = [line.due_ns(f) - line.stamp_ns(f) for f in played]
    # The frame that was 25 ms late is late by 25 ms divided by the rate.
    assert ages == [round(25 * MS / rate) if n // 2 == 4 else 0 for n in range(20)]
    assert line.due_ns(played[0]) == BEGIN_NS
    assert line.due_ns(played[-1]) == BEGIN_NS + round(9 * PERIOD_MS * MS / rate)


def test_a_constant_offset_does_not_change_with_the_rate() -> None:
    played = frames(thermal_late_ms=80)
    for rate in (1.0, 3.0):
        line = line_for(played, rate, offset_ms=-80)
        visible, thermal = (line.stamp_ns(f) for f in played[4:6])
        assert thermal - 80 * MS == pytest.approx(visible, abs=1)


def test_a_frame_without_a_stamp_gets_none() -> None:
    bare = dataclasses.replace(frames()[0], stamp_ns=0)
    assert line_for([bare], 1.0).stamp_ns(bare) == 0


def test_the_times_of_a_repeated_clip_keep_rising() -> None:
    clip = frames(10)
    played = list(repeated(clip, 2.0))
    stamps = [f.stamp_ns for f in played if f.stream is Stream.VISIBLE]
    assert {b - a for a, b in itertools.pairwise(stamps)} == {PERIOD_MS * MS}
    assert len(stamps) == 41  # 2 s at 20 Hz, both ends
    assert rate_hz(played, Stream.THERMAL) == pytest.approx(20)


@pytest.mark.parametrize("order", [0, 1])
def test_with_stamp_changes_only_the_stamp(order: int) -> None:
    cdr = bytes([0, order, 0, 0]) + bytes(range(8)) + b"the rest"
    stamped = with_stamp(cdr, BEGIN_NS + 7)
    assert stamp_of(stamped) == BEGIN_NS + 7
    assert (stamped[:4], stamped[12:]) == (cdr[:4], cdr[12:])


def test_a_replaced_stamp_is_read_by_another_deserialiser() -> None:
    from rosbags.typesys import Stores, get_typestore

    types = get_typestore(Stores.ROS2_HUMBLE)
    kind = "std_msgs/msg/Header"
    time = types.types["builtin_interfaces/msg/Time"](sec=1, nanosec=2)
    cdr = bytes(types.serialize_cdr(types.types[kind](stamp=time, frame_id="eye"), kind))
    read = types.deserialize_cdr(with_stamp(cdr, 5_000_000_009), kind)
    assert (read.stamp.sec, read.stamp.nanosec, read.frame_id) == (5, 9, "eye")


def counts(**fates: int) -> dict[str, dict[str, int]]:
    of_stream = {**dict.fromkeys(("received", *(f.value for f in Fate), "pending"), 0), **fates}
    return {stream.value: dict(of_stream) for stream in Stream}


def played_pass(played: list[PlayedFrame], *, fused: int, lag_ms: float = 0.0) -> OnePass:
    line = line_for(played, 1.0)
    one_pass = OnePass(line, FuseParameters())
    left = fused
    for frame in played:
        stamp_ns, due_ns = line.stamp_ns(frame), line.due_ns(frame)
        one_pass.sent(frame, stamp_ns, due_ns + round(lag_ms * MS))
        if frame.stream is Stream.THERMAL and left:
            one_pass.returned(stamp_ns, stamp_ns + 12 * MS)
            left -= 1
    return one_pass


def test_ages_start_at_the_stamp_and_losses_refer_to_the_possible_pairs() -> None:
    one_pass = played_pass(frames(100), fused=97, lag_ms=2.0)
    after = counts(received=99, fused=97, superseded=2)
    figures = one_pass.figures(counts(), after, 20.0)
    assert (figures.pairs_possible, figures.fused, figures.fused_returned) == (100, 97, 97)
    assert figures.loss == pytest.approx(0.03)
    assert figures.lost_on_the_wire == {"visible": 1, "thermal": 1}
    assert figures.age_ms["p50"] == pytest.approx(12)
    assert figures.way_ms["p50"] == pytest.approx(10)
    assert figures.player_lag_ms["max"] == pytest.approx(2)
    assert figures.adds_up
    assert [f.code for f in findings_of(figures)] == ["lost_on_the_wire", "frames_lost"]


def test_frames_without_a_partner_are_not_lost() -> None:
    played = [f for n, f in enumerate(frames(60)) if f.stream is Stream.VISIBLE or n % 4 == 1]
    after = counts(received=60, fused=30, held=23)  # held once the thermal rate is known
    figures = played_pass(played, fused=30).figures(counts(), after, 20.0)
    assert (figures.pairs_possible, figures.fused) == (53, 53)
    assert figures.loss == 0.0


def test_counts_that_do_not_add_up_are_a_finding() -> None:
    one_pass = played_pass(frames(20), fused=20)
    figures = one_pass.figures(counts(), counts(received=20, fused=19), 20.0)
    assert not figures.adds_up
    assert "counts_do_not_add_up" in {f.code for f in findings_of(figures)}


def test_the_page_shows_losses_ages_and_the_searched_rates(tmp_path: Path) -> None:
    pytest.importorskip("jinja2")
    figures = played_pass(frames(100), fused=97).figures(
        counts(), counts(received=99, fused=97, superseded=2), 20.0
    )
    engine = dict.fromkeys(("engine", "device", "precision", "preset", "weights_sha256"), "x")
    live = {
        **figures.as_dict(),
        "recording": dict.fromkeys(("name", "path", "sha256", "visible", "thermal"), "<b>"),
        "engine": engine, "parameters": dataclasses.asdict(FuseParameters()), "version": "1",
        "findings": [dataclasses.asdict(f) for f in findings_of(figures)], "search_s": 6.0,
        "tried": [{**figures.as_dict(), "asked_hz": 40.0}], "damaged_frames_not_sent": 0,
        "highest": {"rate": 2.0, "hz": 40.0, "limited_by": "player"},
    }  # fmt: skip
    (tmp_path / "live_frames.csv").write_text(
        "at_s,age_ms,way_ms\n0,1,1\n1,2,2\n", encoding="utf-8"
    )
    page = write_page(tmp_path, live, NO_GATE.judge(live)).read_text(encoding="utf-8")
    for text in (">frames lost</span>", ">3.00%<", ">12.0 ms<", "<polyline", "<td>40.0</td>",
                 "40.0 Hz or more", "&lt;b&gt;"):  # fmt: skip
        assert text in page
    assert "<b></h1>" not in page


@dataclasses.dataclass
class Tried:
    rate: float
    achieved_rate: float
    loss: float


def a_node(limit: float, tried: list[float], *, player_limit: float = 1e9):
    """A node with a highest rate, and a player with another."""

    def play(rate: float) -> Tried:
        tried.append(rate)
        reached = min(rate, player_limit)
        return Tried(rate, reached, 0.0 if reached <= limit else 1 - limit / reached)

    return play


@pytest.mark.parametrize("limit", [0.3, 1.0, 2.9, 7.7, 40.0])
def test_the_search_finds_the_limit_of_a_node_to_five_percent(limit: float) -> None:
    tried: list[float] = []
    play = a_node(limit, tried)
    found = highest_rate(play, play(1.0))
    assert found.limited_by == "node"
    assert limit / 1.05 <= found.rate <= limit * (1 + MOST_LOSS) / (1 - MOST_LOSS)
    assert len(tried) < 30


def test_the_search_reports_the_player_as_the_limit() -> None:
    play = a_node(50.0, [], player_limit=6.0)
    found = highest_rate(play, play(1.0))
    assert (found.rate, found.limited_by) == (6.0, "player")


def test_a_single_loss_does_not_end_the_search() -> None:
    tried: list[float] = []
    steady = a_node(10.0, tried)

    def play(rate: float) -> Tried:
        trial = steady(rate)
        return dataclasses.replace(trial, loss=0.5) if tried.count(rate) == 1 < rate else trial

    assert highest_rate(play, play(1.0)).rate >= 10.0 / 1.05


def test_a_node_that_sustains_no_rate_gives_zero() -> None:
    play = a_node(0.001, [])
    assert highest_rate(play, play(1.0)).rate == 0.0


def test_reading_ahead_keeps_the_order_and_raises_errors_of_the_reader() -> None:
    played = frames(50)
    assert list(read_ahead(iter(played))) == played

    def broken():
        yield played[0]
        raise OSError("the disk is gone")

    read = read_ahead(broken())
    assert next(read) == played[0]
    with pytest.raises(OSError, match="disk is gone"):
        next(read)


def test_reading_ahead_ends_while_items_are_waiting() -> None:
    read = read_ahead(iter(frames(500)))
    next(read)
    read.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("read ahead")]
