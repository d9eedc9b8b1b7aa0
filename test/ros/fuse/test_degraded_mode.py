# SPDX-License-Identifier: Apache-2.0
"""One camera stops, freezes or closes its shutter, over real DDS."""

from __future__ import annotations

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from rig import Rig

from fusion_ros.streams.ledger import Stream

pytest.importorskip("fusion_ros.msg", reason="FusionStatus was not built")
pytestmark = pytest.mark.ros

# The engine averages visible 100 and thermal 200.
FUSED, VISIBLE_ALONE, THERMAL_ALONE = 150, 100, 200


def newest(rig: Rig) -> int:
    """Return the single grey level of the newest fused image; -1 before the first."""
    if not rig.fused:
        return -1
    levels = set(rig.fused[-1].data)
    assert len(levels) == 1
    return levels.pop()


def fusing_rig(ros, **parameters) -> Rig:
    rig = Rig(ros, {"stream_timeout_ms": 400.0, **parameters})
    rig.send_until(rig.send_pair, lambda: newest(rig) == FUSED, "a pair was fused")
    return rig


def fusion_line(rig: Rig) -> DiagnosticStatus:
    return rig.diagnostics[-1].status[2]


def test_without_thermal_the_visible_image_is_published_and_reported(ros):
    rig = fusing_rig(ros)
    rig.send_until(rig.send_visible, lambda: newest(rig) == VISIBLE_ALONE, "visible went out alone")
    assert rig.fused[-1].header.frame_id == "visible_optical"
    rig.send_until(
        rig.send_visible, lambda: rig.status_mode() == "visible_only", "the status says so"
    )
    status = rig.statuses[-1]
    assert 0 < status.visible_passed_alone <= status.visible_unpaired
    assert status.thermal_passed_alone == 0
    rig.send_until(
        rig.send_visible,
        lambda: fusion_line(rig).level == DiagnosticStatus.WARN,
        "the diagnostics warn",
    )


def test_without_visible_the_thermal_image_is_published_grey_on_the_visible_grid(ros):
    rig = fusing_rig(ros)
    small = np.full((24, 32), 200, np.uint8)
    rig.send_until(
        lambda stamp_ms: rig.send_thermal(stamp_ms, small),
        lambda: newest(rig) == THERMAL_ALONE,
        "thermal went out alone",
    )
    image = rig.fused[-1]
    assert (image.width, image.height, image.encoding) == (64, 48, "rgb8")
    assert image.header.frame_id == "visible_optical"
    rig.send_until(
        rig.send_thermal, lambda: rig.status_mode() == "thermal_only", "the status says so"
    )


def test_the_first_pair_ends_degraded_mode(ros):
    rig = fusing_rig(ros)
    rig.send_until(rig.send_visible, lambda: newest(rig) == VISIBLE_ALONE, "visible went out alone")
    before = rig.counts()["visible"]["fused"]
    rig.send_until(
        rig.send_pair,
        lambda: rig.counts()["visible"]["fused"] > before and newest(rig) == FUSED,
        "fused again",
    )
    rig.send_until(rig.send_pair, lambda: rig.status_mode() == "fusing", "the status says so")


def test_hold_publishes_nothing_while_a_camera_is_lost(ros):
    rig = fusing_rig(ros, on_stream_loss="hold")
    rig.send_until(rig.send_visible, lambda: rig.is_lost(Stream.THERMAL), "thermal is lost")
    rig.ros.spin_until(
        lambda: len(rig.fused) == rig.counts()["visible"]["fused"], "all fused images came"
    )
    fused = len(rig.fused)
    received = rig.counts()["visible"]["received"]
    rig.send_until(
        rig.send_visible,
        lambda: rig.counts()["visible"]["received"] >= received + 20,
        "twenty more visible frames came",
    )
    rig.send_until(rig.send_visible, lambda: rig.status_mode() == "waiting", "the status says so")
    assert len(rig.fused) == fused
    assert rig.statuses[-1].visible_passed_alone == 0


def test_stop_deactivates_the_node_once_a_camera_is_lost(ros):
    rig = fusing_rig(ros, on_stream_loss="stop")
    rig.ros.spin_until(lambda: rig.status_mode() == "inactive", "the node deactivated itself")
    assert rig.counts()["visible"]["pending"] == 0
    assert rig.node._state_machine.current_state[1] == "inactive"


WALL = (
    np.random.default_rng(1).integers(20, 200, (6, 8, 3)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
)


def test_a_thermal_camera_that_repeats_one_image_while_the_robot_moves_is_lost(ros):
    rig = fusing_rig(ros, frozen_after_ms=400.0)
    turn = iter(range(1_000_000))

    def send(stamp_ms: float, thermal: np.ndarray | None = None) -> None:
        rig.send_visible(stamp_ms, np.roll(WALL, next(turn), axis=1))
        rig.send_thermal(stamp_ms, thermal)

    rig.send_until(send, lambda: rig.status_mode() == "visible_only", "thermal counts as lost")
    status = rig.statuses[-1]
    assert status.thermal_repeated > 0
    reasons = dict(
        zip(status.thermal_rejected_reasons, status.thermal_rejected_counts, strict=True)
    )
    assert set(reasons) == {"frozen"}
    rig.send_until(
        lambda stamp_ms: send(stamp_ms, np.full((48, 64), 100 + next(turn) % 80, np.uint8)),
        lambda: rig.status_mode() == "fusing",
        "it moves again, and is fused again",
    )
    assert rig.counts()["thermal"]["rejected_by_reason"]["frozen"] > 0


def test_a_noise_free_thermal_camera_before_a_still_view_is_fused_for_as_long_as_it_repeats(ros):
    rig = fusing_rig(ros, frozen_after_ms=200.0)
    rng = np.random.default_rng(2)

    def send(stamp_ms: float) -> None:
        noisy = np.clip(WALL + rng.normal(0, 2, WALL.shape), 0, 255).astype(np.uint8)
        rig.send_visible(stamp_ms, noisy)
        rig.send_thermal(stamp_ms)

    fused = rig.counts()["thermal"]["fused"]
    rig.send_until(
        send,
        lambda: rig.counts()["thermal"]["fused"] >= fused + 60 and len(rig.statuses) >= 3,
        "sixty more pairs were fused",
    )
    assert rig.counts()["thermal"]["rejected"] == 0
    assert rig.status_mode() == "fusing"


def test_frames_of_a_closed_shutter_are_counted_and_never_fused(ros):
    rig = Rig(ros)
    rng = np.random.default_rng(3)

    def send(stamp_ms: float) -> None:
        rig.send_visible(stamp_ms)
        rig.send_thermal(stamp_ms, rng.integers(29000, 31000, (48, 64)).astype(np.uint16))

    rig.send_until(
        send, lambda: rig.counts()["thermal"]["fused"] >= 12, "the node knows the camera's scenes"
    )
    shut = iter(range(1_000_000))

    def send_shut(stamp_ms: float) -> None:
        rig.send_visible(stamp_ms)
        rig.send_thermal(stamp_ms, np.full((48, 64), 30000 + next(shut) % 7, np.uint16))

    rig.send_until(
        send_shut,
        lambda: bool(rig.statuses) and rig.statuses[-1].thermal_shutter >= 3,
        "the status counts shutter frames",
    )
    reasons = rig.counts()["thermal"]["rejected_by_reason"]
    assert set(reasons) == {"shutter"}
    assert rig.statuses[-1].thermal_repeated == 0


def test_cameras_that_start_late_do_not_count_as_lost(ros):
    rig = Rig(ros, {"stream_timeout_ms": 300.0})
    rig.ros.spin_until(
        lambda: all(rig.is_lost(stream) for stream in Stream),
        "both have been silent for long",
    )
    rig.send_pair(1000)
    rig.wait_for_fused(1)
    assert newest(rig) == FUSED
    assert rig.counts()["visible"]["unpaired"] == 0
