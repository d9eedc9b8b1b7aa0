# SPDX-License-Identifier: Apache-2.0
"""The state machine from frames to pairs, on arrival times that the test passes in."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_ros.imaging.encodings import ChannelOrder, PixelFrame
from fusion_ros.streams.flow_options import FlowOptions
from fusion_ros.streams.intake import IncomingFrame, Rejection
from fusion_ros.streams.ledger import Fate, FrameLedger, Stream
from fusion_ros.streams.pair_flow import Decision, PairFlow
from fusion_ros.streams.stream_health import StreamWatch

MS = 1_000_000
VISIBLE, THERMAL = Stream.VISIBLE, Stream.THERMAL


class Cameras:
    """Two cameras in front of a flow. Times are in milliseconds."""

    def __init__(self, *, registered: bool = True, **options) -> None:
        self.ledger = FrameLedger()
        self.registered = registered
        self.numbers = np.random.default_rng(0)
        self.flow = PairFlow(
            FlowOptions(stream_timeout_ms=300.0, **options),
            self.ledger,
            {stream: StreamWatch(0, detect_flat=stream is THERMAL) for stream in Stream},
            stamp_clock_ns=lambda: 0,
            is_registered=lambda: self.registered,
        )

    def send(self, stream: Stream, at_ms: float, stamp_ms: float | None = None) -> Decision:
        stamp_ns = round((10_000 + (at_ms if stamp_ms is None else stamp_ms)) * MS)
        noise = self.numbers.integers(0, 255, (12, 16), dtype=np.uint8)
        frame = IncomingFrame(
            *divmod(stamp_ns, 1_000_000_000),
            stream.value,
            "mono8",
            lambda: PixelFrame(noise, ChannelOrder.GREY),
            source=stamp_ms,
        )
        return self.flow.take(stream, frame, round(at_ms * MS))

    def run_both(self, until_ms: float) -> None:
        for at_ms in range(0, round(until_ms), 50):
            self.send(VISIBLE, at_ms)
            self.send(THERMAL, at_ms)


def test_a_pair_is_returned_with_the_frame_that_completes_it():
    cameras = Cameras()
    assert cameras.send(VISIBLE, 0).pairs == ()
    decision = cameras.send(THERMAL, 1, stamp_ms=0)
    assert [pair.skew_ns for pair in decision.pairs] == [0]
    assert decision.settled is None
    counts = cameras.ledger.snapshot()
    assert counts.visible.pending == counts.thermal.pending == 1


@pytest.mark.parametrize(("lost", "alone"), [(THERMAL, VISIBLE), (VISIBLE, THERMAL)])
def test_frames_pass_alone_while_the_other_camera_is_lost(lost, alone):
    cameras = Cameras()
    cameras.run_both(1000)
    decisions = [cameras.send(alone, at_ms) for at_ms in range(1000, 1600, 50)]
    passed = [decision.alone is not None for decision in decisions]
    assert passed.index(True) == 6  # 350 ms after the last frame of the lost one
    assert all(passed[6:])
    assert [decision.alone_began for decision in decisions] == [n == 6 for n in range(12)]
    assert decisions[-1].alone.visible_shape == (12, 16)
    assert decisions[-1].alone.frame_id == "visible"
    back = cameras.send(lost, 1600)
    assert back.is_back
    assert back.alone is None
    end = cameras.send(alone, 1601, stamp_ms=1600)
    assert end.alone_ended
    assert len(end.pairs) == 1


def test_hold_passes_no_frame_alone():
    cameras = Cameras(on_stream_loss="hold")
    cameras.run_both(1000)
    assert all(cameras.send(VISIBLE, at_ms).alone is None for at_ms in range(1000, 2000, 50))


def test_options_apply_from_the_next_frame_on():
    cameras = Cameras(on_stream_loss="hold")
    cameras.run_both(1000)
    for at_ms in range(1000, 2000, 50):
        cameras.send(VISIBLE, at_ms)
    flow = cameras.flow
    flow.options = dataclasses.replace(flow.options, on_stream_loss="pass_other")
    assert cameras.send(VISIBLE, 2000).alone is not None
    flow.options = dataclasses.replace(flow.options, tolerance_ns=0)
    cameras.send(VISIBLE, 2050)
    assert cameras.send(THERMAL, 2051).pairs == ()


def test_the_offset_in_use_follows_the_stamps_until_it_is_set():
    cameras, in_use_ms, pairs = Cameras(follows_offset=True), [], []
    flow = cameras.flow
    for at_ms in range(0, 12_000, 50):
        pairs += cameras.send(VISIBLE, at_ms).pairs
        pairs += cameras.send(THERMAL, at_ms + 1, stamp_ms=at_ms + 13).pairs
        if at_ms % 1000 == 0:
            flow.follow_offset()
            in_use_ms.append(flow.thermal_offset_ns / MS)
    assert in_use_ms == [0, -2, -4, -6, -8, -10, -12, -13, -13, -13, -13, -13]
    assert (pairs[0].skew_ns, pairs[-1].skew_ns) == (13 * MS, 0)
    flow.options = dataclasses.replace(flow.options, tolerance_ns=5 * MS)
    assert flow.thermal_offset_ns == -13 * MS
    flow.options = dataclasses.replace(flow.options, thermal_offset_ns=3 * MS)
    assert flow.thermal_offset_ns == 3 * MS
    flow.options = dataclasses.replace(flow.options, follows_offset=False)
    flow.follow_offset()
    assert flow.thermal_offset_ns == 3 * MS


def test_thermal_frames_are_rejected_until_they_can_be_registered():
    cameras = Cameras(registered=False)
    decision = cameras.send(THERMAL, 0)
    assert decision.settled is Fate.REJECTED
    assert decision.checked.reason == "not_calibrated"
    assert dict(cameras.ledger.snapshot().thermal.rejected_by_reason) == {"not_calibrated": 1}
    cameras.registered = True
    cameras.send(VISIBLE, 50)
    assert len(cameras.send(THERMAL, 50).pairs) == 1


def test_a_message_that_cannot_be_read_is_counted():
    cameras = Cameras()
    decision = cameras.flow.take(VISIBLE, Rejection("malformed", "cut"), 0)
    assert decision.settled is Fate.REJECTED
    assert dict(cameras.ledger.snapshot().visible.rejected_by_reason) == {"malformed": 1}


def test_late_and_duplicate_frames_are_settled_at_once():
    cameras = Cameras()
    for at_ms in (0, 50, 100):
        cameras.send(VISIBLE, at_ms)
    cameras.send(THERMAL, 100)
    assert cameras.send(THERMAL, 101, stamp_ms=100).settled is Fate.DUPLICATE
    assert cameras.send(THERMAL, 102, stamp_ms=50).settled is Fate.LATE


def test_a_jump_back_in_time_is_reported_once():
    cameras = Cameras()
    cameras.run_both(1000)
    jumps = [cameras.send(stream, 1000, stamp_ms=0).jumped_back for stream in Stream]
    assert jumps == [True, False]
    assert cameras.flow.jumps == 1


@given(
    frames=st.lists(
        st.tuples(st.sampled_from(Stream), st.integers(0, 120), st.integers(-80, 80)), max_size=60
    ),
    policy=st.sampled_from(["pass_other", "hold"]),
)
def test_every_frame_is_settled_once(frames, policy):
    cameras, at_ms, open_frames = Cameras(on_stream_loss=policy), 0, 0
    for stream, after_ms, jitter_ms in frames:
        at_ms += after_ms
        decision = cameras.send(stream, at_ms, at_ms + jitter_ms)
        for pair in decision.pairs:
            cameras.ledger.settle_pair(Fate.FUSED, is_held=pair.is_held)
        if decision.alone is not None:
            cameras.ledger.settle(stream, Fate.UNPAIRED)
        open_frames += decision.settled is None
    for pair in cameras.flow.flush():
        cameras.ledger.settle_pair(Fate.FUSED, is_held=pair.is_held)
    counts = cameras.ledger.snapshot()
    assert counts.visible.pending == counts.thermal.pending == 0
    assert counts.visible.received + counts.thermal.received == len(frames)
    final = sum(c.late + c.duplicate + c.rejected for c in (counts.visible, counts.thermal))
    assert open_frames == len(frames) - final
