# SPDX-License-Identifier: Apache-2.0
"""Lossy, jittered and looping cameras over real DDS: the counts add up in every status."""

from __future__ import annotations

import random
from typing import Any

import pytest
from rclpy.qos import ReliabilityPolicy
from rig import Rig
from sensor_msgs.msg import Image

pytest.importorskip("fusion_ros.msg", reason="FusionStatus was not built")
pytestmark = pytest.mark.ros

FATES = ("fused", "held", "superseded", "unpaired", "late", "duplicate", "rejected", "pending")
FRAMES = 300


def check(before: Any, status: Any) -> None:
    """The counts of a status add up, and no count decreases."""
    for stream in ("visible", "thermal"):
        received = getattr(status, f"{stream}_received")
        assert received == sum(getattr(status, f"{stream}_{fate}") for fate in FATES)
        assert getattr(status, f"{stream}_rejected") == sum(
            getattr(status, f"{stream}_rejected_counts")
        )
        # Never more than can wait: 500 ms in the pairer, one job in work, one waiting.
        assert getattr(status, f"{stream}_pending") <= 17 + 2
        if before is not None:
            for count in ("received", *FATES[:-1]):
                assert getattr(status, f"{stream}_{count}") >= getattr(before, f"{stream}_{count}")
    assert status.visible_fused == status.thermal_fused
    assert status.visible_superseded >= status.thermal_superseded  # pairs of held frames, too


def schedule(seed: int, *, loss: float, jitter_ms: float, loop: int) -> list[tuple[str, float]]:
    """Return the frames of both cameras in the order of sending: stream and stamp [ms].

    Both run at 30 Hz. A share is lost, stamps have jitter, neighbours are swapped, some are sent
    twice, and the recording restarts every `loop` frames.
    """
    rng = random.Random(seed)
    frames = []
    for number in range(FRAMES):
        base_ms = 100_000.0 + 33.0 * (number % loop)
        for stream in ("visible", "thermal"):
            if rng.random() >= loss:
                frames.append((stream, base_ms + rng.uniform(-jitter_ms, jitter_ms)))
            if rng.random() < 0.03 and frames:
                frames.append(frames[-1])
    for at in range(0, len(frames) - 3, 17):
        frames[at], frames[at + 2] = frames[at + 2], frames[at]
    return frames


@pytest.mark.parametrize(
    ("loss", "jitter_ms", "loop"),
    [(0.3, 0.0, FRAMES), (0.0, 12.0, FRAMES), (0.1, 5.0, 60)],
    ids=["lossy", "jittered", "looping"],
)
@pytest.mark.parametrize("policy", ["nearest", "approximate"])
def test_every_status_reconciles_and_every_frame_sent_is_settled_once(
    ros, loss, jitter_ms, loop, policy
):
    if policy != "nearest":
        pytest.importorskip("message_filters")
    # A slow machine must not count as a lost camera here.
    parameters = {"status_every_frame": True, "pairing_policy": policy}
    rig = Rig(ros, {**parameters, "stream_timeout_ms": 60_000.0})
    sent = {"visible": 0, "thermal": 0}
    for number, (stream, stamp_ms) in enumerate(
        schedule(5, loss=loss, jitter_ms=jitter_ms, loop=loop)
    ):
        sent[stream] += 1
        if number % 40 == 39:  # one that cannot be read
            rig.visible.publish(Image(encoding="rgb8", width=64, height=48, step=192))
            sent["visible"] += 1
        (rig.send_visible if stream == "visible" else rig.send_thermal)(stamp_ms)
        for _ in range(5):
            ros.executor.spin_once(timeout_sec=0.0)
    ros.spin_until(
        lambda: all(rig.counts()[s]["received"] == n for s, n in sent.items()), "all came in"
    )
    rig.node.trigger_deactivate()
    ros.spin_until(
        lambda: (
            bool(rig.statuses)
            and rig.statuses[-1].mode == "inactive"
            and rig.statuses[-1].visible_pending == rig.statuses[-1].thermal_pending == 0
        ),
        "the last status came",
    )
    before = None
    for status in rig.statuses:
        check(before, status)
        before = status
    assert (before.visible_received, before.thermal_received) == (sent["visible"], sent["thermal"])
    assert len(rig.statuses) > 30
    assert before.visible_fused > 30
    assert (max(status.clock_jumps for status in rig.statuses) > 0) == (loop < FRAMES)


def test_best_effort_cameras_in_a_storm_leave_no_frame_uncounted(ros):
    rig = Rig(ros, {"status_every_frame": True}, reliability=ReliabilityPolicy.BEST_EFFORT)
    for burst in range(5):
        for number in range(60):  # twice what the queue holds, without a pause
            rig.send_pair(100_000 + 3000 * burst + 33 * number)
        ros.spin_until(
            lambda n=burst: rig.counts()["visible"]["received"] >= 20 * (n + 1), "some came"
        )
    rig.send_until(
        rig.send_pair,
        lambda: rig.counts()["visible"]["pending"] == rig.counts()["thermal"]["pending"] == 0,
        "all is settled",
    )
    before = None
    for status in rig.statuses:
        check(before, status)
        before = status
    assert before.visible_received > 0
