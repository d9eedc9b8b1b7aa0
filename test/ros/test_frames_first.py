# SPDX-License-Identifier: Apache-2.0
"""The node's executor: frames come first, and nothing else starves or is lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import RosSide
from rcl_interfaces.srv import GetParameters
from rig import Rig

from fusion_ros.nodes.runtime.frames_first import FramesFirstExecutor

pytestmark = pytest.mark.ros


@pytest.fixture
def rig() -> Iterator[Rig]:
    """A rig that this executor spins: node, cameras and listener."""
    side = RosSide(FramesFirstExecutor)
    made = Rig(side, {"stream_timeout_ms": 60_000.0})
    side.executor.frames = made.node.frame_subscriptions
    yield made
    side.close()


def test_it_does_all_that_rclpys_executor_does(rig):
    rig.send_visible(1000)
    rig.send_thermal(1000)
    rig.wait_for_fused(1)  # subscriptions of the listener, too
    rig.ros.spin_until(lambda: bool(rig.diagnostics), "the timer fired")
    assert parameter(rig, "pairing_policy") == "nearest"  # a client and a service


def test_an_rclpy_with_other_insides_still_spins_the_node(rig, monkeypatch):
    monkeypatch.setattr(rig.ros.executor, "_knows_rclpy", False)
    monkeypatch.setattr(rig.ros.executor, "_wait", None)  # calling it would raise
    rig.send_pair(1000)
    rig.wait_for_fused(1)


def test_frames_are_taken_before_rclpy_looks_at_anything_else(rig, monkeypatch):
    rig.ros.executor.spin_once(timeout_sec=0.0)
    order: list[str] = []
    flow = rig.node._active.flow
    take = flow.take
    monkeypatch.setattr(flow, "take", lambda *a: (order.append(a[0].value), take(*a)))
    wait = FramesFirstExecutor.__mro__[1].spin_once
    monkeypatch.setattr(
        FramesFirstExecutor.__mro__[1],
        "spin_once",
        lambda *a, **k: (order.append("others"), wait(*a, **k)),
    )
    rig.send_pair(1000)
    rig.ros.spin_until(lambda: rig.counts()["thermal"]["received"] == 1, "the pair came")
    assert [name for name in order if name != "others"] == ["visible", "thermal"]
    assert order[-1] != "others"  # rclpy's round was not needed for it
    assert "visible" in order[: order.index("thermal")]


def test_a_storm_of_frames_keeps_no_service_from_being_answered(rig):
    stamps_ms = iter(range(1000, 10**9, 10))

    def storm() -> None:
        for _ in range(5):
            rig.send_pair(next(stamps_ms))

    assert parameter(rig, "preset", meanwhile=storm) == "compact"
    assert rig.counts()["visible"]["received"] > 0


def test_what_comes_and_goes_while_it_spins_is_waited_for_or_not_any_more(rig):
    rig.node.trigger_deactivate()
    rig.ros.executor.spin_once(timeout_sec=0.0)
    rig.node.trigger_activate()
    rig.wait_for_discovery()
    rig.send_until(rig.send_pair, lambda: len(rig.fused) > 0, "it fuses")
    late = rig.ros.node("latecomer")
    ticks: list[int] = []
    late.create_timer(0.01, lambda: ticks.append(1))
    rig.ros.spin_until(lambda: len(ticks) > 2, "a node that was added is served")


def test_a_stop_from_elsewhere_ends_the_wait(rig):
    # Whichever comes first.
    stop = threading.Thread(target=rig.ros.context.try_shutdown)
    stop.start()
    rig.ros.executor.spin()
    stop.join()


def parameter(rig: Rig, name: str, meanwhile: Any = lambda: None) -> Any:
    """What the node answers through its parameter service."""
    client = rig.listener.create_client(GetParameters, "/fuse_node/get_parameters")
    rig.ros.spin_until(client.service_is_ready, "the service is there")
    answer = client.call_async(GetParameters.Request(names=[name]))

    def answered() -> bool:
        meanwhile()
        return answer.done()

    rig.ros.spin_until(answered, "the service answered")
    return answer.result().values[0].string_value
