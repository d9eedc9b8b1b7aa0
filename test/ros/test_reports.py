# SPDX-License-Identifier: Apache-2.0
"""Outputs of the fuse node for people: status, diagnostics and overlay."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from rig import Rig, pixels
from sensor_msgs.msg import Image

pytestmark = pytest.mark.ros


# --- reports --------------------------------------------------------------------------------------


def test_status_balances_and_names_the_engine(ros):
    pytest.importorskip("fusion_ros.msg", reason="FusionStatus was not built")
    # A slow machine must not make a camera count as lost.
    rig = Rig(ros, {"stream_timeout_ms": 60_000.0})
    for count, stamp_ms in enumerate(range(1000, 2000, 100), start=1):
        rig.send_pair(stamp_ms)
        rig.wait_for_fused(count)
    rig.ros.spin_until(
        lambda: bool(rig.statuses) and rig.statuses[-1].visible_fused == 10, "a status came"
    )
    status = rig.statuses[-1]
    for stream in ("visible", "thermal"):
        ends = (
            "fused",
            "held",
            "superseded",
            "unpaired",
            "late",
            "duplicate",
            "rejected",
            "pending",
        )
        total = sum(getattr(status, f"{stream}_{end}") for end in ends)
        assert getattr(status, f"{stream}_received") == total == 10
    assert (status.mode, status.engine, status.device) == ("fusing", "averaging", "cpu")
    assert status.header.frame_id == "visible_optical"
    assert status.skew_ms_p50 == status.skew_ms_p95 == 0.0
    assert 0 < status.latency_ms_p50 <= status.latency_ms_p95
    assert status.stage_names[0] == "wait"
    assert {"tone", "registration", "infer", "encode", "publish"} <= set(status.stage_names)
    assert len(status.stage_names) == len(status.stage_ms_p50) == len(status.stage_ms_p95)


def test_status_every_frame_publishes_a_status_with_every_image(ros):
    pytest.importorskip("fusion_ros.msg", reason="FusionStatus was not built")
    rig = Rig(ros, {"status_every_frame": True})
    rig.ros.spin_until(
        lambda: rig.listener.count_publishers("fused/status") == 1, "the status topic is there"
    )
    for stamp_ms in range(1000, 1500, 100):
        rig.send_pair(stamp_ms)
        rig.wait_for_fused((stamp_ms - 1000) // 100 + 1)
    rig.ros.spin_until(lambda: len(rig.statuses) >= 5, "five statuses came")


def test_diagnostics_name_silent_topics(ros):
    rig = Rig(ros, {"stream_timeout_ms": 1.0})
    rig.ros.spin_until(lambda: bool(rig.diagnostics), "diagnostics came")
    streams = rig.diagnostics[-1].status[0]
    assert streams.level == DiagnosticStatus.ERROR
    assert "/visible/image_raw" in streams.message
    assert "/thermal/image_raw" in streams.message


# --- overlay and alignment ------------------------------------------------------------------------


def test_overlay_is_made_only_while_it_has_a_subscriber(ros):
    rig = Rig(ros)
    overlays: list[Image] = []
    rig.send_pair(1000)
    rig.wait_for_fused(1)
    rig.listener.create_subscription(Image, "fused/overlay", overlays.append, 10)
    ros.spin_until(
        lambda: rig.node.count_subscribers("fused/overlay") == 1, "the node sees the new listener"
    )
    ros.spin_until(lambda: rig.listener.count_publishers("fused/overlay") == 1, "it is there")
    stamps = itertools.count(1100, 100)

    def try_again() -> bool:
        rig.send_pair(next(stamps))
        ros.executor.spin_once(timeout_sec=0.05)
        return bool(overlays)

    ros.spin_until(try_again, "an overlay came")
    # Inferno shows grey 200 in a warm colour: red well above blue, over a grey visible image.
    red, _, blue = (int(channel) for channel in pixels(overlays[0])[0, 0])
    assert red > blue + 40
    assert overlays[0].header.frame_id == "visible_optical"


def test_diagnostics_report_a_shift_between_the_cameras(ros):
    rig = Rig(ros, {"alignment_period_s": 0.001})
    scene = np.zeros((240, 320), np.uint8)
    rng = np.random.default_rng(5)
    for _ in range(40):
        y, x = rng.integers(0, 200), rng.integers(0, 280)
        height, width = rng.integers(10, 40, 2)
        scene[y : y + height, x : x + width] = rng.integers(40, 255)
    shifted = np.roll(scene, 20, axis=1)
    for count in range(1, 16):
        rig.send_visible(1000 + 100 * count, scene)
        rig.send_thermal(1000 + 100 * count, shifted)
        rig.wait_for_fused(count)
    ros.spin_until(
        lambda: any(d.status[1].level == DiagnosticStatus.WARN for d in rig.diagnostics),
        "a warning",
    )
    warning = next(d.status[1] for d in rig.diagnostics if d.status[1].level != DiagnosticStatus.OK)
    assert "+20, +0" in warning.message
