# SPDX-License-Identifier: Apache-2.0
"""The path of a frame through the node's flow, on the test's clock and without DDS."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rclpy.serialization import serialize_message
from rig import AveragingEngine, header

from fusion_ros.imaging.encodings import ChannelOrder
from fusion_ros.nodes.fuse import fusion_lane
from fusion_ros.nodes.fuse.frame_flow import FrameFlow
from fusion_ros.nodes.fuse.fusion_lane import FusionLane
from fusion_ros.nodes.fuse.reporting.counters import Counters
from fusion_ros.nodes.runtime.codec import encode_image
from fusion_ros.parameters import FuseParameters
from fusion_ros.pipeline import FusionPipeline
from fusion_ros.registration.alignment import AlignmentMonitor
from fusion_ros.streams.ledger import Stream

pytestmark = pytest.mark.ros

PATIENCE_S = 20.0


class Bench:
    """A flow with its published images and log lines."""

    def __init__(self, publish=None, can_publish=lambda: True) -> None:
        self.now_ms = 0.0
        self.logged = []
        self.engine = AveragingEngine()
        self.published = []
        self.warnings = []
        self.counters = Counters(self.warnings.append)
        clock_ns = lambda: round(self.now_ms * 1e6)  # noqa: E731
        values = FuseParameters()
        self.lane = FusionLane(
            FusionPipeline(self.engine),
            values,
            self.counters,
            publish or self._publish,
            can_publish=can_publish,
            clock_ns=clock_ns,
        )
        self.flow = FrameFlow(
            self.lane, values, self.counters, log=self.logged.append, clock_ns=clock_ns
        )
        self.flow.start()

    def _publish(self, output) -> dict:
        self.published.append(output)
        return {}

    def send(self, stream: Stream, stamp_ms: float, value: int = 100) -> None:
        grey = np.full((8, 8), value, np.uint8)
        message = encode_image(grey, ChannelOrder.GREY, "mono8", header(stamp_ms, stream.value))
        self.flow.take(stream, f"/{stream.value}/image_raw", serialize_message(message))

    def stop(self) -> dict:
        self.flow.stop()
        return self.counters.ledger.snapshot().as_dict()


@given(
    events=st.lists(
        st.tuples(
            st.sampled_from([Stream.VISIBLE, Stream.THERMAL, "bad visible", "bad thermal"]),
            st.integers(0, 3000),
        ),
        max_size=80,
    )
)
def test_every_frame_is_settled_when_the_flow_stops(events):
    bench = Bench()
    sent = {"visible": 0, "thermal": 0}
    for kind, stamp_ms in events:
        if isinstance(kind, Stream):
            bench.send(kind, stamp_ms)
            sent[kind.value] += 1
        else:
            stream = Stream(kind.split()[1])
            broken = encode_image(
                np.zeros((2, 2), np.uint8), ChannelOrder.GREY, "mono8", header(stamp_ms, "x")
            )
            broken.height = 9
            bench.flow.take(stream, "/x", serialize_message(broken))
            sent[stream.value] += 1
    counts = bench.stop()
    for stream in ("visible", "thermal"):
        assert counts[stream]["received"] == sent[stream]
        assert counts[stream]["pending"] == 0
    assert counts["visible"]["fused"] == counts["thermal"]["fused"] == len(bench.published)


def test_a_failed_publish_rejects_only_its_pair():
    def fail(output):
        raise OSError("no route")

    bench = Bench(publish=fail)
    bench.send(Stream.VISIBLE, 1000)
    bench.send(Stream.THERMAL, 1000)
    wait_for(lambda: bench.counters.ledger.snapshot().visible.rejected == 1)
    counts = bench.stop()
    assert counts["visible"]["rejected_by_reason"] == {"internal_error": 1}
    assert sum("OSError" in warning for warning in bench.warnings) == 1


def test_failures_after_publishing_reject_no_pair(monkeypatch):
    monkeypatch.setattr(AlignmentMonitor, "evaluate", lambda *_: 1 / 0)
    monkeypatch.setattr(FusionPipeline, "learn", lambda *_: 1 / 0)
    bench = Bench()
    bench.lane.pipeline.replace(FusionPipeline(AveragingEngine()), done_with_old=lambda: 1 / 0)
    for count, stamp_ms in enumerate((1000, 1033), start=1):
        bench.send(Stream.VISIBLE, stamp_ms)
        bench.send(Stream.THERMAL, stamp_ms)
        wait_for(lambda n=count: bench.counters.ledger.snapshot().visible.fused == n)
    counts = bench.stop()
    assert counts["visible"]["fused"] == counts["thermal"]["fused"] == 2
    assert counts["visible"]["pending"] == counts["visible"]["rejected"] == 0
    # Closing the old pipeline, the tone curve and the alignment, each reported once.
    assert sum("ZeroDivisionError" in warning for warning in bench.warnings) == 3


def test_an_image_is_published_before_the_tone_curve_is_updated(monkeypatch):
    learned = threading.Event()
    monkeypatch.setattr(fusion_lane, "PUBLISH_FIRST_S", PATIENCE_S)
    monkeypatch.setattr(FusionPipeline, "learn", lambda _: learned.set())
    too_early = []

    def publish(output) -> dict:
        too_early.append(learned.wait(0.1))
        return {}

    bench = Bench(publish)
    bench.send(Stream.VISIBLE, 1000)
    bench.send(Stream.THERMAL, 1000)
    assert learned.wait(PATIENCE_S)
    bench.stop()
    assert too_early == [False]


def test_only_the_lost_camera_is_reported_as_back():
    bench = Bench()
    for now_ms in (0, 700, 1400, 2100, 4000):  # the visible one, which pauses as well
        bench.now_ms = now_ms
        bench.send(Stream.VISIBLE, 1000 + now_ms, value=now_ms // 50)
    assert any("on_stream_loss" in warning for warning in bench.warnings)
    assert bench.logged == []
    bench.send(Stream.THERMAL, 5000)
    assert bench.logged == ["/thermal/image_raw is back"]
    bench.stop()


def test_each_reason_of_rejection_is_logged_once_and_always_counted():
    bench = Bench()
    for _ in range(3):
        broken = encode_image(
            np.zeros((2, 2), np.uint8), ChannelOrder.GREY, "mono8", header(0, "x")
        )
        broken.encoding = "nonsense"
        bench.flow.take(Stream.THERMAL, "/thermal/image_raw", serialize_message(broken))
    counts = bench.stop()
    assert counts["thermal"]["rejected_by_reason"] == {"unknown_encoding": 3}
    assert len(bench.warnings) == 1
    for token in ("/thermal/image_raw", "unknown_encoding"):
        assert token in bench.warnings[0]
    assert "'nonsense'" in bench.warnings[0]


def wait_for(condition) -> None:
    """Wait for the worker's thread; the timeout is for failures only."""
    tick = threading.Event()
    for _ in range(int(PATIENCE_S / 0.005)):
        if condition():
            return
        tick.wait(0.005)
    pytest.fail(f"condition not met within {PATIENCE_S} s")


@pytest.mark.parametrize("middleware_runs", [True, False])
def test_a_failed_publish_is_a_fault_unless_the_middleware_has_ended(middleware_runs):
    failed = threading.Event()

    def publish(output):
        failed.set()
        raise RuntimeError("publisher's context is invalid")

    bench = Bench(publish, can_publish=lambda: middleware_runs)
    bench.send(Stream.VISIBLE, 1000)
    bench.send(Stream.THERMAL, 1000)
    assert failed.wait(PATIENCE_S)
    counts = bench.stop()
    fate = "rejected" if middleware_runs else "superseded"
    assert counts["visible"][fate] == counts["thermal"][fate] == 1
    assert any("internal_error" in line for line in bench.warnings) is middleware_runs
