# SPDX-License-Identifier: Apache-2.0
"""Diagnostics and log name the cause: rejected frames, wrong types, clocks, a hung engine."""

from __future__ import annotations

import threading
from itertools import count

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.lifecycle import TransitionCallbackReturn
from rig import Rig, header
from sensor_msgs.msg import CompressedImage, Image

from fusion_ros.engines.engine import EngineDescription
from fusion_ros.nodes.fuse.fuse_node import FuseNode
from fusion_ros.nodes.fuse.reporting.diagnostics import diagnostics
from fusion_ros.nodes.fuse.reporting.recent_counts import CountHistory
from fusion_ros.nodes.fuse.reporting.report import MODE_STALLED, STALLED_S, NodeReport, stalled_s
from fusion_ros.nodes.fuse.reporting.telemetry import Telemetry
from fusion_ros.nodes.runtime import log_lines
from fusion_ros.pipeline_factory import pipeline_around
from fusion_ros.streams.clock_offset import OffsetEstimator
from fusion_ros.streams.ledger import Fate, FrameLedger, Stream

pytestmark = pytest.mark.ros
RATES_HZ = (1, 5, 9, 30, 60, 120)
OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


class Drive:
    """Thirty seconds of a rig on a clock of the test's own, as the node reports it."""

    def __init__(self, thermal_hz: int, *, visible_hz: int = 30, mode: str = "fusing") -> None:
        self.now_s = 0.0
        clock_ns = lambda: round(self.now_s * 1e9)  # noqa: E731
        self.ledger = FrameLedger()
        self.telemetry = Telemetry(clock_ns=clock_ns)
        self.history = CountHistory(self.ledger.snapshot(), clock_ns=clock_ns)
        self.offsets = OffsetEstimator()
        self.rates = {Stream.VISIBLE: visible_hz, Stream.THERMAL: thermal_hz}
        self.mode = mode

    def run(self, settle, *, seconds: int = 12, thermal_stamp_s: float = 0.0):
        """`settle(ledger, stream)` decides each frame's fate; returns the levels at the end."""
        events = sorted(
            (n / hz, stream.value, stream)
            for stream, hz in self.rates.items()
            for n in range(seconds * hz)
        )
        next_report_s = 1.0
        for at_s, _, stream in events:
            while at_s >= next_report_s:
                self.now_s = next_report_s
                self.history.add(self.ledger.snapshot())
                next_report_s += 1.0
            self.now_s = at_s
            self.telemetry.arrived(stream, round(at_s * 1e9))
            stamp_s = 1000 + at_s + (thermal_stamp_s if stream is Stream.THERMAL else 0)
            self.offsets.observe(stream, round(stamp_s * 1e9), round(at_s * 1e9))
            self.ledger.receive(stream)
            settle(self.ledger, stream)
        self.now_s = float(seconds)
        self.history.add(self.ledger.snapshot())
        return [status.level for status in self.diagnostics().status]

    def diagnostics(self, **state):
        report = NodeReport(
            header=header(0, ""),
            mode=self.mode,
            engine=EngineDescription("averaging", "cpu", "uint8", "custom", "0" * 64, {}),
            engine_is_fallback=False,
            counts=self.ledger.snapshot(),
            recent=self.history.recent(),
            stalled_s=stalled_s(self.history.recent(STALLED_S)),
            telemetry=self.telemetry.snapshot(),
            rejections={},
            thermal_offset_ms=0.0,
            thermal_repeated=0,
            thermal_shutter=0,
            timeout_ms=dict.fromkeys(Stream, 2500.0),
            clocks=self.offsets.clock_distance(),
            **state,
        )
        self.report = report
        return diagnostics("/left/fuse_node", report)


def pairs_end_as(fate):
    """Return a function that settles frames in pairs, for `Drive.run`."""
    waiting = dict.fromkeys(Stream, 0)

    def settle(ledger, stream):
        waiting[stream] += 1
        if all(waiting.values()):
            ledger.settle_pair(fate)
            for other in Stream:
                waiting[other] -= 1

    return settle


@pytest.mark.parametrize("hz", RATES_HZ)
def test_a_healthy_rig_is_ok_at_any_rate(hz):
    assert Drive(hz, visible_hz=hz).run(pairs_end_as(Fate.FUSED)) == [OK, OK, OK]


@pytest.mark.parametrize("hz", RATES_HZ)
@pytest.mark.parametrize("decided", [True, False], ids=["given up", "still waiting"])
def test_frames_without_any_partner_are_an_error_at_any_rate(hz, decided):
    def settle(ledger, stream):
        if decided:
            ledger.settle(stream, Fate.UNPAIRED)

    assert Drive(hz).run(settle)[1] == ERROR


@pytest.mark.parametrize("hz", RATES_HZ)
def test_clocks_apart_are_an_error_that_names_both_stamps_at_any_rate(hz):
    drive = Drive(hz)
    levels = drive.run(lambda ledger, s: ledger.settle(s, Fate.UNPAIRED), thermal_stamp_s=-37)
    assert levels == [OK, ERROR, OK]
    assert drive.report.clocks.remedy.parameter == "thermal_offset_ms"
    assert drive.report.clocks.remedy.value == pytest.approx(37_000, abs=50)
    newest = f"{drive.report.clocks.thermal_stamp_ns / 1e9:.3f}"
    assert newest in drive.diagnostics().status[1].message


@pytest.mark.parametrize("hz", RATES_HZ)
def test_rejected_frames_are_reported_at_any_rate(hz):
    def settle(ledger, stream):
        if stream is Stream.THERMAL:
            ledger.settle(stream, Fate.REJECTED, "zero_stamp")

    drive = Drive(hz)
    assert drive.run(settle)[0] == WARN
    assert "zero_stamp" in drive.diagnostics().status[0].message


@pytest.mark.parametrize("hz", RATES_HZ)
def test_pairs_of_which_none_is_fused_are_a_stalled_fusion_at_any_rate(hz):
    drive = Drive(hz, visible_hz=hz)
    drive.run(pairs_end_as(Fate.SUPERSEDED))
    assert drive.report.stalled_s >= 4.0
    drive.mode = MODE_STALLED
    assert drive.diagnostics().status[2].level == ERROR


@pytest.mark.parametrize(
    ("state", "level"),
    [
        ({"engine_hung_s": 3.0}, ERROR),
        ({"blocked_s": {"/fused/image_raw": 2.0}}, ERROR),
        ({"unpublished": {"/fused/image_raw": 5}}, WARN),
        ({"unpublished": {"/fused/overlay": 5}, "unpublished_before": {"/fused/overlay": 5}}, OK),
    ],
)
def test_calls_that_do_not_return_are_in_the_diagnostics(state, level):
    fusion = Drive(30).diagnostics(**state).status[2]
    assert fusion.level == level
    for topic in (*state.get("blocked_s", ()), *state.get("unpublished", ())):
        assert (topic in fusion.message) == (level != OK)


def test_names_of_two_nodes_differ_by_their_namespace(ros):
    rigs = []
    for name in ("left", "right"):
        rig = Rig(ros, cli_args=["--ros-args", "-r", f"__ns:=/{name}"], activate=False)
        assert rig.node.trigger_configure() == TransitionCallbackReturn.SUCCESS
        rigs.append(rig)
    wanted = {"left/fuse_node: fusion", "right/fuse_node: fusion"}
    seen: dict[str, str] = {}

    def both() -> bool:
        for array in rigs[0].diagnostics:
            seen.update({status.name: status.hardware_id for status in array.status})
        return wanted <= set(seen)

    ros.spin_until(both, "both nodes publish diagnostics")
    assert len({seen[name] for name in wanted}) == 2


def test_rejected_frames_are_the_cause_and_not_a_freeze(ros):
    rig = Rig(ros, {"stream_timeout_ms": 300.0})
    zero = Image(header=header(0, "thermal"), height=48, width=64, encoding="mono8", step=64)
    zero.data = bytes(48 * 64)

    def send(stamp_ms: float) -> None:
        rig.send_visible(stamp_ms)
        rig.thermal.publish(zero)

    rig.send_until(
        send,
        lambda: any("zero_stamp" in d.status[0].message for d in rig.diagnostics),
        "the streams line names the reason",
    )
    status = next(d.status[0] for d in rig.diagnostics if "zero_stamp" in d.status[0].message)
    assert status.level == ERROR
    assert "stamp_source" in status.message
    assert "frozen" not in status.message


def test_a_topic_of_another_type_is_reported_and_awaited_frames_are_logged(ros, capfd, request):
    arguments = ["--ros-args", "-r", "thermal/image_raw:=/cam/jpeg"]
    arguments += ["-r", "visible/image_raw:=/cam/none"]
    # One participant cannot hold two types of one topic: the camera is a process in real life.
    context = rclpy.Context()
    rclpy.init(context=context)
    request.addfinalizer(context.try_shutdown)
    camera = rclpy.create_node("other_camera", context=context)
    request.addfinalizer(camera.destroy_node)
    camera.create_publisher(CompressedImage, "/cam/jpeg", 5)
    rig = Rig(ros, {"stream_timeout_ms": 100.0}, cli_args=arguments, activate=False)
    rig.node.trigger_configure()
    rig.node.trigger_activate()
    ros.spin_until(
        lambda: any(
            "sensor_msgs/msg/CompressedImage" in d.status[0].message for d in rig.diagnostics
        ),
        "the type is named",
    )
    said = ""

    def waiting() -> bool:
        nonlocal said
        said += capfd.readouterr().err
        return said.count("waiting for frames on ") >= 2

    ros.spin_until(waiting, "both awaited topics are logged")
    thermal = next(line for line in said.splitlines() if "waiting" in line and "/cam/jpeg" in line)
    assert "no publisher of sensor_msgs/msg/Image" in thermal
    assert "/cam/jpeg/compressed" in thermal
    visible = next(line for line in said.splitlines() if "waiting" in line and "/cam/none" in line)
    assert "published are: /thermal/image_raw, /visible/image_raw" in visible  # not its own outputs


def test_a_hung_engine_is_stalled_and_not_fusing(ros):
    rig, gate = Rig(ros), threading.Event()
    rig.engine.gate = gate.wait
    try:
        rig.send_until(
            rig.send_pair,
            lambda: bool(rig.diagnostics) and rig.diagnostics[-1].status[2].level == ERROR,
            "the fusion line is an error",
        )
        assert rig.node._make_report(rig.node._configured).mode == MODE_STALLED
    finally:
        gate.set()


def test_a_long_configure_is_logged(ros, capfd, monkeypatch):
    monkeypatch.setattr(log_lines, "PROGRESS_PERIOD_S", 0.01)
    ticks, rig = threading.Event(), Rig(ros, activate=False)
    seen = count()

    def make(values, tell):
        while not ticks.wait(0.02) and next(seen) < 200:
            if "preparing the engine for" in capfd.readouterr().err:
                ticks.set()
        return pipeline_around(rig.engine, values)

    node = ros.add(FuseNode(pipeline_maker=make, context=ros.context, namespace="/slow"))
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert ticks.is_set()


def test_a_format_that_changes_with_each_frame_does_not_fill_the_log(ros, capfd):
    rig, number = Rig(ros), count()
    forms = ("mono8", "8UC1")

    def send(stamp_ms: float) -> None:
        message = rig.send_visible(stamp_ms)
        thermal = Image(header=message.header, height=48, width=64, step=64)
        thermal.encoding = forms[next(number) % 2]
        thermal.data = bytes(np.full(48 * 64, 200, np.uint8))
        rig.thermal.publish(thermal)

    rig.send_until(send, lambda: rig.counts()["thermal"]["received"] >= 30, "thirty came")
    assert capfd.readouterr().err.count("changed from") == 1


def test_an_engine_that_fails_and_recovers_is_logged_at_both_levels(ros, capfd):
    rig = Rig(ros, activate=False)
    capfd.readouterr()  # Cyclone DDS writes lines of its own
    for _ in range(2):
        rig.node._log_engine_change("failed\n[FATAL]", False)
        rig.node._log_engine_change("back", True)
    said = capfd.readouterr().err
    assert said.count("[ERROR]") == said.count("[INFO]") == 2
    assert all(line.startswith(("[ERROR]", "[INFO]")) for line in said.splitlines())
