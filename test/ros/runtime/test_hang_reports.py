# SPDX-License-Identifier: Apache-2.0
"""Diagnostics of an engine and of publishers that do not return, over real DDS."""

from __future__ import annotations

import threading
import time

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.lifecycle import TransitionCallbackReturn
from rig import Rig

pytestmark = pytest.mark.ros

DEADLINE_MS = 300.0
PATIENCE_S = 20.0


@pytest.fixture
def rig(ros):
    rig = Rig(ros, {"engine_deadline_ms": DEADLINE_MS})
    rig.leave = threading.Event()
    yield rig
    rig.leave.set()


def fusion_level(rig: Rig) -> bytes:
    if not rig.diagnostics:
        return DiagnosticStatus.STALE
    (status,) = (s for s in rig.diagnostics[-1].status if s.name.endswith("fusion"))
    return status.level


def hang(rig: Rig) -> float:
    """Fuse one pair and let the next one hang; when that began."""
    rig.send_visible(1000)
    rig.send_thermal(1000)
    rig.ros.spin_until(lambda: len(rig.fused) == 1, "a pair is fused")
    rig.engine.gate = rig.leave.wait
    rig.send_visible(1100)
    rig.send_thermal(1100)
    rig.ros.spin_until(lambda: rig.engine.inferred == 2, "the engine is called")
    return time.monotonic()


def test_a_hung_engine_is_an_error_within_the_deadline_and_a_second(rig):
    begun_s = hang(rig)
    rig.ros.spin_until(lambda: fusion_level(rig) == DiagnosticStatus.ERROR, "an error is reported")
    assert time.monotonic() - begun_s < DEADLINE_MS / 1e3 + 1.0
    counts = rig.counters.ledger.snapshot().visible
    assert counts.rejected_by_reason == {"engine_deadline": 1}


def test_a_hung_engine_keeps_no_transition_waiting(rig):
    hang(rig)
    begun_s = time.monotonic()
    assert rig.node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
    assert rig.node.trigger_activate() == TransitionCallbackReturn.FAILURE  # it is still in use
    assert rig.node.trigger_cleanup() == TransitionCallbackReturn.SUCCESS
    assert time.monotonic() - begun_s < PATIENCE_S / 2
    assert not rig.engine.closed
    rig.engine.gate = None
    rig.activate()
    rig.send_visible(2000)
    rig.send_thermal(2000)
    rig.ros.spin_until(lambda: len(rig.fused) == 2, "a pair is fused again")
