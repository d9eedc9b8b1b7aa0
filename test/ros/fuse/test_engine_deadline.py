# SPDX-License-Identifier: Apache-2.0
"""An engine call that does not return: reported, replaced where possible, never waited for."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from rclpy.serialization import serialize_message
from rig import AveragingEngine, header

from fusion_ros.engines.fallback import FallbackEngine
from fusion_ros.imaging.encodings import ChannelOrder
from fusion_ros.nodes.fuse import fusion_lane
from fusion_ros.nodes.fuse.frame_flow import FrameFlow
from fusion_ros.nodes.fuse.fusion_lane import FusionLane
from fusion_ros.nodes.fuse.reporting.counters import Counters
from fusion_ros.nodes.runtime import stopping
from fusion_ros.nodes.runtime.codec import encode_image
from fusion_ros.parameters import FuseParameters
from fusion_ros.pipeline import FusionPipeline
from fusion_ros.streams.ledger import Stream

pytestmark = pytest.mark.ros

PATIENCE_S = 20.0
DEADLINE_MS = 500.0


class HangingEngine(AveragingEngine):
    """Holds a call until the test lets it go."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Semaphore(0)
        self.leave = threading.Event()
        self.leave.set()
        self.gate = self._hold

    def hang(self) -> None:
        self.leave.clear()

    def _hold(self) -> None:
        self.entered.release()
        assert self.leave.wait(PATIENCE_S)


class Bench:
    """A flow on a clock of the test's own, around an engine that may hang."""

    def __init__(self, *makers) -> None:
        self.now_ms = 0.0
        self.stamp_ms = 1000.0
        self.engine = HangingEngine()
        self.published: list[int] = []
        self.warnings: list[str] = []
        self.replaced: list[FusionPipeline] = []
        self.counters = Counters(self.warnings.append)
        engine = self.engine
        if makers:
            engine = FallbackEngine([lambda: self.engine, *makers], notify=lambda text, good: None)
        values = FuseParameters(engine_deadline_ms=DEADLINE_MS)
        self.lane = FusionLane(
            FusionPipeline(engine),
            values,
            self.counters,
            self._publish,
            replaced=self.replaced.append,
            clock_ns=self._clock_ns,
        )
        self.flow = FrameFlow(self.lane, values, self.counters, clock_ns=self._clock_ns)
        self.flow.start()

    def _clock_ns(self) -> int:
        return round(self.now_ms * 1e6)

    def _publish(self, output) -> dict:
        self.published.append(int(output.pixels[0, 0]))
        return {}

    def send_pair(self, size: int = 8) -> None:
        self.stamp_ms += 100
        for stream, value in ((Stream.VISIBLE, 100), (Stream.THERMAL, 50)):
            grey = np.full((size, size), value, np.uint8)
            grey[-1, -1] = int(self.stamp_ms) // 100 % 250  # no two pictures are equal
            stamped = header(self.stamp_ms, stream.value)
            message = encode_image(grey, ChannelOrder.GREY, "mono8", stamped)
            self.flow.take(stream, f"/{stream.value}/image_raw", serialize_message(message))

    def fuse_one(self) -> None:
        before = len(self.published)
        self.send_pair()
        self.wait_for(lambda: len(self.published) > before)
        self.wait_for(lambda: self.counts().pending == 0)

    def hang_one(self) -> None:
        while self.engine.entered.acquire(blocking=False):
            pass
        self.engine.hang()
        self.send_pair()
        assert self.engine.entered.acquire(timeout=PATIENCE_S)

    def pass_time(self, ms: float) -> bool:
        self.now_ms += ms
        return self.lane.check()

    def counts(self):
        return self.counters.ledger.snapshot().visible

    def wait_for(self, condition) -> None:
        tick = threading.Event()
        for _ in range(int(PATIENCE_S / 0.005)):
            if condition():
                return
            tick.wait(0.005)
        pytest.fail(f"waited {PATIENCE_S} s in vain")

    def end(self) -> None:
        self.engine.leave.set()
        self.flow.stop()


@pytest.fixture
def bench():
    made: list[Bench] = []

    def make(*makers) -> Bench:
        made.append(Bench(*makers))
        return made[-1]

    yield make
    for each in made:
        each.end()


def test_within_the_deadline_nothing_happens(bench):
    one = bench()
    one.fuse_one()
    one.hang_one()
    assert not one.pass_time(DEADLINE_MS)
    assert one.lane.hung_s == 0
    one.engine.leave.set()
    one.wait_for(lambda: len(one.published) == 2)
    assert one.counts().rejected == 0


def test_after_the_deadline_this_pair_and_the_next_ones_are_rejected(bench):
    one = bench()
    one.fuse_one()
    one.hang_one()
    assert one.pass_time(DEADLINE_MS + 1)
    assert one.lane.hung_s == pytest.approx((DEADLINE_MS + 1) / 1e3)
    one.send_pair()
    counts = one.counts()
    assert counts.rejected_by_reason == {"engine_deadline": 2}
    assert (counts.fused, counts.pending) == (1, 0)
    assert sum("engine_deadline" in line for line in one.warnings) == 1


def test_a_late_result_is_discarded_and_fusing_continues(bench):
    one = bench()
    one.fuse_one()
    one.hang_one()
    one.pass_time(DEADLINE_MS + 1)
    one.engine.leave.set()
    one.wait_for(lambda: not one.lane.is_busy)
    one.pass_time(1)
    assert one.lane.hung_s == 0
    one.fuse_one()
    counts = one.counts()
    assert len(one.published) == counts.fused == 2
    assert counts.rejected_by_reason == {"engine_deadline": 1}


def test_the_fallback_engine_continues(bench):
    second = AveragingEngine()
    one = bench(lambda: second)
    one.fuse_one()
    one.hang_one()
    assert one.pass_time(DEADLINE_MS + 1)
    assert one.lane.hung_s == 0
    one.fuse_one()
    assert second.inferred == 1
    assert one.replaced == [one.lane.pipeline.current]
    assert one.replaced[0].engine.is_fallback
    assert not one.engine.closed  # its call may still use it
    one.engine.leave.set()
    one.fuse_one()
    counts = one.counts()
    assert len(one.published) == counts.fused == 3
    assert counts.rejected_by_reason == {"engine_deadline": 1}


def test_making_the_fallback_engine_is_not_a_missed_deadline(bench):
    making, made = threading.Event(), threading.Event()

    def slow_maker():
        making.set()
        assert made.wait(PATIENCE_S)
        return AveragingEngine()

    one = bench(slow_maker)
    one.fuse_one()
    one.hang_one()
    one.pass_time(DEADLINE_MS + 1)
    one.send_pair()
    assert making.wait(PATIENCE_S)
    assert not one.pass_time(20 * DEADLINE_MS)
    made.set()
    one.wait_for(lambda: len(one.published) == 2)


def test_the_first_pair_of_a_size_has_a_longer_deadline(bench):
    one = bench()
    one.hang_one()
    assert not one.pass_time(10 * DEADLINE_MS)
    assert one.pass_time(fusion_lane.FIRST_CALL_DEADLINE_NS / 1e6)
    assert one.counts().rejected_by_reason == {"engine_deadline": 1}


def test_another_pipeline_replaces_the_hung_one_which_is_not_closed(bench):
    one = bench()
    one.fuse_one()
    one.hang_one()
    one.pass_time(DEADLINE_MS + 1)
    closed = []
    one.lane.pipeline.replace(
        FusionPipeline(AveragingEngine()), done_with_old=lambda: closed.append(1)
    )
    one.pass_time(1)
    one.fuse_one()
    assert one.lane.hung_s == 0
    assert closed == []


def test_a_live_change_of_the_deadline_applies_from_the_next_pair_on(bench):
    one = bench()
    one.fuse_one()
    one.flow.apply(FuseParameters(engine_deadline_ms=10 * DEADLINE_MS))
    one.hang_one()
    assert not one.pass_time(2 * DEADLINE_MS)
    assert one.pass_time(10 * DEADLINE_MS)


@pytest.mark.parametrize("is_past_deadline", [True, False])
def test_a_stop_does_not_wait_for_a_hung_engine(bench, is_past_deadline, monkeypatch):
    monkeypatch.setattr(fusion_lane, "STOP_S", 0.05)
    one = bench()
    one.fuse_one()
    one.hang_one()
    if is_past_deadline:
        one.pass_time(DEADLINE_MS + 1)
    begun_s = time.monotonic()
    assert not one.flow.stop()
    assert time.monotonic() - begun_s < PATIENCE_S / 2
    assert stopping.has_abandoned_threads()
    assert one.lane.is_busy
    counts = one.counts()
    assert (counts.pending, counts.rejected_by_reason) == (0, {"engine_deadline": 1})
    one.engine.leave.set()
    one.wait_for(lambda: not one.lane.is_busy)
    assert one.counts() == counts  # settled once


def test_a_publish_that_hangs_delays_no_fusion_and_no_stop():
    entered, leave = threading.Event(), threading.Event()
    one = Bench()

    def publish(output) -> dict:
        entered.set()
        assert leave.wait(PATIENCE_S)
        return {}

    one._publish = one.lane._publish = publish
    one.send_pair()
    assert entered.wait(PATIENCE_S)
    for _ in range(5):
        inferred = one.engine.inferred
        one.send_pair()
        one.wait_for(lambda n=inferred: one.engine.inferred > n)
        one.wait_for(lambda: one.lane._progress.now is None)
    assert one.lane.publishing.unpublished == 4  # one is under way, one waits
    assert not one.flow.stop()
    counts = one.counts()
    assert (counts.fused, counts.superseded, counts.pending) == (0, 6, 0)
    leave.set()
    one.wait_for(lambda: not one.lane.publishing._worker.is_alive)
    assert one.counts() == counts
