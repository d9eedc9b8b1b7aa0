# SPDX-License-Identifier: Apache-2.0
"""A hundred lifecycle cycles leave no resource behind."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from rclpy.lifecycle import TransitionCallbackReturn
from rig import Rig

pytestmark = pytest.mark.ros

CYCLES = 100
SUCCESS = TransitionCallbackReturn.SUCCESS


def holdings(rig: Rig) -> dict[str, int]:
    node = rig.node
    gc.collect()
    return {
        "subscriptions": len(list(node.subscriptions)),
        "publishers": len(list(node.publishers)),
        "timers": len(list(node.timers)),
        "services": len(list(node.services)),
        "managed entities": len(node._managed_entities),
        "threads": threading.active_count(),
        "open files": len(list(Path("/proc/self/fd").iterdir())),
    }


def resident_mb() -> float:
    facts = Path("/proc/self/status").read_text(encoding="ascii")
    return int(facts.split("VmRSS:")[1].split()[0]) / 1024


def assert_nothing_is_left_behind(rig: Rig, cycle: Callable[[], None]) -> None:
    for _ in range(10):
        cycle()
    before, before_mb = holdings(rig), resident_mb()
    for _ in range(CYCLES):
        cycle()
    assert holdings(rig) == before
    assert resident_mb() - before_mb < 20


def test_activation_cycles_leave_no_resource_behind(ros):
    rig = Rig(ros)
    node = rig.node
    rig.send_until(rig.send_pair, lambda: len(rig.fused) > 0, "it fuses")

    def cycle() -> None:
        assert node.trigger_deactivate() == SUCCESS
        assert node.trigger_activate() == SUCCESS
        rig.send_pair(1000)
        ros.executor.spin_once(timeout_sec=0.0)

    assert_nothing_is_left_behind(rig, cycle)
    fused = len(rig.fused)
    rig.send_until(rig.send_pair, lambda: len(rig.fused) > fused, "it still fuses")


def test_configuration_cycles_leave_no_resource_behind(ros):
    rig = Rig(ros, activate=False)
    node = rig.node

    def cycle() -> None:
        assert node.trigger_configure() == SUCCESS
        assert node.trigger_activate() == SUCCESS
        assert node.trigger_deactivate() == SUCCESS
        assert node.trigger_cleanup() == SUCCESS
        ros.executor.spin_once(timeout_sec=0.0)

    assert_nothing_is_left_behind(rig, cycle)
    rig.activate()
    rig.send_until(rig.send_pair, lambda: len(rig.fused) > 0, "it fuses")


def test_a_destroyed_node_leaves_the_graph_without_waiting_for_the_garbage_collector(ros):
    rig = Rig(ros)
    gc.disable()
    try:
        rig.ros.spin_until(lambda: "fuse_node" in rig.listener.get_node_names(), "it is there")
        ros.destroy(rig.node)
        rig.ros.spin_until(lambda: "fuse_node" not in rig.listener.get_node_names(), "it is gone")
    finally:
        gc.enable()
