# SPDX-License-Identifier: Apache-2.0
"""Every check of the intake, with an injected clock: no ROS, no threads."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from fusion_ros.imaging.encodings import ChannelOrder, EncodingError, PixelFrame, RejectReason
from fusion_ros.streams.content import Fault
from fusion_ros.streams.flow_options import FlowOptions
from fusion_ros.streams.intake import CheckedFrame, IncomingFrame, Intake, Rejection
from fusion_ros.streams.ledger import Stream
from fusion_ros.streams.stream_health import StreamWatch

MS = 1_000_000
RNG = np.random.default_rng(0)
VISIBLE = PixelFrame(RNG.integers(0, 255, (60, 80, 3), dtype=np.uint8), ChannelOrder.RGB)
COUNTS = (30000 + np.add.outer(np.arange(60), 3 * np.arange(80))).astype(np.uint16)


def incoming(
    frame: PixelFrame | Exception, *, sec: int = 100, nanosec: int = 0, encoding: str = "mono16"
) -> IncomingFrame:
    def read() -> PixelFrame:
        if isinstance(frame, Exception):
            raise frame
        return frame

    return IncomingFrame(sec, nanosec, "camera", encoding, read)


def grey(pixels: np.ndarray) -> PixelFrame:
    return PixelFrame(pixels, ChannelOrder.GREY)


class Bench:
    def __init__(self, clock_ns: Callable[[], int] = lambda: 7, **options) -> None:
        self.watches = {s: StreamWatch(0, detect_flat=s is Stream.THERMAL) for s in Stream}
        self.intake = Intake(FlowOptions(**options), self.watches, clock_ns=clock_ns)

    def thermal(self, frame, now_ms: float = 0.0, **fields) -> CheckedFrame | Rejection:
        return self.intake.take(Stream.THERMAL, incoming(frame, **fields), round(now_ms * MS))

    def visible(self, frame, now_ms: float = 0.0, **fields) -> CheckedFrame | Rejection:
        return self.intake.take(Stream.VISIBLE, incoming(frame, **fields), round(now_ms * MS))


def reason(checked: CheckedFrame | Rejection) -> str:
    assert isinstance(checked, Rejection), checked
    assert checked.message
    return checked.reason


def test_a_good_frame_has_its_stamp_frame_id_and_arrival():
    checked = Bench().thermal(grey(COUNTS), 5, sec=3, nanosec=20)
    assert isinstance(checked, CheckedFrame)
    assert (checked.stamp_ns, checked.frame_id, checked.arrived_ns) == (
        3_000_000_020,
        "camera",
        5 * MS,
    )
    assert checked.pixels.pixels is COUNTS


@pytest.mark.parametrize("kind", RejectReason)
def test_a_frame_that_cannot_be_decoded_has_the_reason_of_the_decoder(kind):
    assert reason(Bench().thermal(EncodingError(kind, "why"))) == kind.value


@pytest.mark.parametrize(
    ("sec", "nanosec", "expected"),
    [(0, 0, "zero_stamp"), (-1, 5, "bad_stamp"), (5, 1_000_000_000, "bad_stamp")],
)
def test_invalid_stamps_are_rejected(sec, nanosec, expected):
    checked = Bench().thermal(grey(COUNTS), sec=sec, nanosec=nanosec)
    assert reason(checked) == expected
    arrival = Bench(lambda: 42, stamp_source="arrival")
    accepted = arrival.thermal(grey(COUNTS), sec=sec, nanosec=nanosec)
    assert accepted.stamp_ns == 42


def test_arrival_without_a_clock_is_rejected():
    assert reason(Bench(lambda: 0, stamp_source="arrival").thermal(grey(COUNTS))) == "no_clock"


def test_visible_counts_are_rejected_and_thermal_ones_taken():
    bench = Bench()
    assert reason(bench.visible(grey(COUNTS))) == "not_8_bit"
    assert isinstance(bench.visible(VISIBLE, encoding="rgb8"), CheckedFrame)
    assert isinstance(bench.thermal(grey(COUNTS)), CheckedFrame)


def test_a_closed_shutter_is_rejected_unless_the_parameter_disables_it():
    for detects in (True, False):
        bench = Bench(detect_shutter=detects)
        for n in range(60):
            bench.thermal(grey(COUNTS + RNG.integers(0, 9, COUNTS.shape, np.uint16)), 33 * n)
        shut = bench.thermal(grey(np.full_like(COUNTS, 30100)), 2000)
        assert isinstance(shut, Rejection if detects else CheckedFrame)
        assert not detects or shut.reason == "shutter"


def test_a_format_change_is_observed_once():
    bench = Bench()
    bench.thermal(grey(COUNTS))
    assert bench.intake.observation.format_change is None
    bench.thermal(grey(COUNTS[:30]), 33)
    before, after = bench.intake.observation.format_change
    assert (before.height, after.height) == (60, 30)
    bench.thermal(grey(COUNTS[:30]), 66)
    assert bench.intake.observation.format_change is None


@pytest.mark.parametrize(
    ("frame", "fault"),
    [
        (grey(np.ascontiguousarray(COUNTS.byteswap())), Fault.BYTE_ORDER),
        (grey(np.zeros((60, 320), np.uint8)[:, :80]), Fault.ROW_LENGTH),
        (VISIBLE, Fault.COLOURS),
    ],
)
def test_a_fault_of_the_content_is_reported_and_the_frame_accepted(frame, fault):
    bench = Bench()
    assert isinstance(bench.thermal(frame), CheckedFrame)
    assert bench.intake.examine(0, waited_ns=1) == []
    found = bench.intake.examine(0)
    assert [(stream, change.fault) for stream, change in found] == [(Stream.THERMAL, fault)]
    assert bench.intake.faults(Stream.THERMAL) == {fault}
    assert bench.intake.faults(Stream.VISIBLE) == frozenset()
    assert fault.text
    assert fault.remedy


def test_colours_of_the_visible_camera_are_no_fault():
    bench = Bench()
    bench.visible(VISIBLE)
    assert bench.intake.examine(0) == []
    assert bench.intake.faults(Stream.VISIBLE) == frozenset()


def test_a_frozen_thermal_camera_is_rejected_and_the_parameter_ends_it():
    for after_ms in (500.0, 0.0):
        bench = Bench(frozen_after_ms=after_ms)
        found = []
        for n in range(60):
            seen = np.roll(VISIBLE.pixels, 2 * n, axis=1).repeat(4, 0).repeat(4, 1)
            bench.visible(PixelFrame(seen, ChannelOrder.RGB), 33 * n)
            found.append(bench.thermal(grey(COUNTS), 33 * n))
            bench.intake.examine(33 * n * MS)
        rejected = [checked.reason for checked in found if isinstance(checked, Rejection)]
        assert set(rejected) == ({"frozen"} if after_ms else set())
        assert bench.watches[Stream.THERMAL].frozen is bool(after_ms)
        if after_ms:
            assert "frozen_after_ms" in found[-1].message
