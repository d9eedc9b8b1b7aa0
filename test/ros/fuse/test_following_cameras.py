# SPDX-License-Identifier: Apache-2.0
"""Cameras that change while the node runs, and cameras without a clock, over real DDS."""

from __future__ import annotations

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rig import Rig, header
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image

pytestmark = pytest.mark.ros


def test_a_change_of_resolution_and_encoding_is_followed_at_once_and_logged(ros, capfd):
    rig = Rig(ros)
    rig.send_pair(1000)
    rig.wait_for_fused(1)
    rig.send_visible(1100, np.full((96, 128), 100, np.uint8))
    rig.send_thermal(1100, np.full((20, 30), 200, np.uint8))
    image = rig.wait_for_fused(2)[1]
    assert image.header == header(1100, "visible_optical")
    assert (image.width, image.height) == (128, 96)
    assert set(image.data) == {150}
    log = capfd.readouterr().err
    assert "/visible/image_raw changed from 64x48 rgb8 to 128x96 mono8" in log
    assert "/thermal/image_raw changed from 64x48 mono8 to 30x20 mono8" in log


def test_a_camera_that_comes_back_with_another_reliability_is_followed(ros):
    rig = Rig(ros, reliability=ReliabilityPolicy.RELIABLE)
    ros.spin_until(lambda: rig.reliabilities().get("visible") == "reliable", "it follows")
    rig.cameras.destroy_publisher(rig.visible)
    offered = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)
    rig.visible = rig.cameras.create_publisher(Image, "visible/image_raw", offered)
    ros.spin_until(lambda: rig.reliabilities()["visible"] == "best_effort", "it follows again")
    fused = len(rig.fused)
    rig.send_until(rig.send_pair, lambda: len(rig.fused) > fused, "it fuses again")


def test_by_arrival_frames_without_stamps_are_fused_and_stamped_with_the_node_clock(ros):
    rig = Rig(ros, {"stamp_source": "arrival", "pairing_tolerance_ms": 10_000.0})
    before_ns = rig.node.get_clock().now().nanoseconds
    rig.send_until(lambda _: rig.send_pair(0), lambda: bool(rig.fused), "frames were fused")
    stamp = rig.fused[0].header.stamp
    stamp_ns = stamp.sec * 10**9 + stamp.nanosec
    assert before_ns <= stamp_ns <= rig.node.get_clock().now().nanoseconds
    assert rig.fused[0].header.frame_id == "visible_optical"
    assert rig.counts()["visible"]["rejected"] == 0


def test_stamps_far_from_the_node_clock_are_paired_and_logged_once(ros, capfd):
    rig = Rig(ros)
    for stamp_ms in (1000, 1100):
        rig.send_pair(stamp_ms)
    rig.wait_for_fused(2)
    log = capfd.readouterr().err
    assert log.count("/visible/image_raw: stamps are ") == 1


class Simulation:
    """Clock of nodes with `use_sim_time`."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._clock = rig.cameras.create_publisher(Clock, "/clock", 10)

    def set(self, seconds: int) -> None:
        def arrived() -> bool:
            self._clock.publish(Clock(clock=Time(sec=seconds)))
            return self._rig.node.get_clock().now().nanoseconds == seconds * 10**9

        self._rig.ros.spin_until(arrived, f"the node's clock shows {seconds} s")


def test_simulated_time_is_followed_back_and_forth(ros):
    rig = Rig(ros, {"use_sim_time": True, "stamp_source": "arrival"})
    simulation = Simulation(rig)
    for fused, seconds in enumerate((500, 900, 400), start=1):
        simulation.set(seconds)
        rig.send_pair(0)
        assert rig.wait_for_fused(fused)[-1].header.stamp == Time(sec=seconds)


def test_before_the_first_time_of_a_simulation_frames_are_rejected(ros, capfd):
    rig = Rig(ros, {"use_sim_time": True, "stamp_source": "arrival"})
    rig.send_pair(0)
    counts = rig.wait_for_settled(visible=1, thermal=1)
    assert counts["visible"]["rejected_by_reason"] == {"no_clock": 1}
    assert "/clock" in capfd.readouterr().err


def test_a_node_reports_while_a_simulation_is_paused(ros):
    pytest.importorskip("fusion_ros.msg", reason="FusionStatus was not built")
    rig = Rig(ros, {"use_sim_time": True})
    Simulation(rig).set(500)
    seen = len(rig.statuses)
    ros.spin_until(lambda: len(rig.statuses) > seen + 1, "two more statuses came")
    assert rig.statuses[-1].header.stamp == Time(sec=500)
