# SPDX-License-Identifier: Apache-2.0
"""Uses of rclpy's non-public names: active here, and without effect where they are missing."""

from __future__ import annotations

import importlib.util
from types import SimpleNamespace
from typing import cast

import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.lifecycle import LifecycleNode
from rclpy.parameter import Parameter
from rclpy.serialization import serialize_message
from rclpy.subscription import Subscription
from std_msgs.msg import String

from fusion_ros.nodes.runtime import rclpy_compatibility as compatibility

pytestmark = pytest.mark.ros


@pytest.fixture(params=["librcl", "rclpy"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test with librcl's function and with rclpy's public one."""
    if request.param == "rclpy":
        monkeypatch.setattr(compatibility, "_rcl_publish", lambda: None)
    return str(request.param)


def test_every_path_is_active_with_the_rclpy_under_test(ros) -> None:
    node = ros.add(LifecycleNode("node", context=ros.context))
    is_humble = importlib.util.find_spec("rclpy.event_handler") is None
    assert set(compatibility.inactive_paths(node)) == ({"message_info"} if is_humble else set())


def test_each_missing_name_is_reported_in_one_line(ros, way, monkeypatch, capfd) -> None:
    node = ros.node("node")
    monkeypatch.setattr(compatibility, "_OVERRIDES", "missing")
    monkeypatch.setattr(compatibility, "has_message_info", lambda: False)
    compatibility.log_paths(node)
    missing = {"parameter_overrides", "message_info"} | ({"librcl"} if way == "rclpy" else set())
    assert set(compatibility.inactive_paths(node)) == missing
    lines = [line for line in capfd.readouterr().err.splitlines() if "compatibility" in line]
    assert len(lines) == 1
    assert all(name in lines[0] for name in missing)


def test_fallbacks_without_private_names_do_nothing(ros, monkeypatch) -> None:
    node = ros.add(LifecycleNode("node", context=ros.context))
    monkeypatch.setattr(compatibility, "_OVERRIDES", "missing")
    monkeypatch.setattr(compatibility, "_STATE_MACHINE", "missing")
    assert compatibility.undeclared_parameters(node) == []
    compatibility.destroy_state_machine(node)
    assert "state_machine" in compatibility.inactive_paths(node)


def test_a_transition_that_the_state_does_not_have_is_answered(ros) -> None:
    """Through the service, as a lifecycle manager does; rclpy alone leaves it without an answer."""
    node = ros.add(LifecycleNode("managed", context=ros.context))
    compatibility.answer_impossible_transitions(node)
    client = ros.node("manager").create_client(ChangeState, "managed/change_state")
    ros.spin_until(client.service_is_ready, "the service is there")
    answers = []
    for number in (Transition.TRANSITION_ACTIVATE, Transition.TRANSITION_CONFIGURE, 99):
        future = client.call_async(ChangeState.Request(transition=Transition(id=number)))
        ros.spin_until(future.done, f"an answer to transition {number}")
        answers.append(future.result().success)
    assert answers == [False, True, False]


def test_waiting_messages_are_taken_without_the_executor(ros) -> None:
    node, speaker = ros.node("listener"), ros.node("speaker")
    subscription = node.create_subscription(String, "words", pytest.fail, 10, raw=True)
    publisher = speaker.create_publisher(String, "words", 10)
    found: list[bytes] = []

    def take() -> int:
        found.extend(filter(None, [compatibility.take_waiting(subscription)]))
        return len(found)

    ros.executor.remove_node(node)
    ros.spin_until(publisher.get_subscription_count, "the publisher sees the subscription")
    assert take() == 0
    sent = [String(data="one"), String(data="two")]
    for message in sent:
        publisher.publish(message)
    ros.spin_until(lambda: take() == len(sent), "both messages came")
    assert found == [serialize_message(message) for message in sent]


def test_no_waiting_message_is_taken_where_rclpy_has_no_such_call() -> None:
    assert compatibility.take_waiting(cast(Subscription, SimpleNamespace(handle=None))) is None


def test_undeclared_parameters_are_found(ros) -> None:
    given = [Parameter("known", value=1), Parameter("unknown", value=2)]
    node = ros.add(LifecycleNode("node", context=ros.context, parameter_overrides=given))
    node.declare_parameter("known", 0)
    assert compatibility.undeclared_parameters(node) == ["unknown"]


def test_state_machine_is_destroyed() -> None:
    calls: list[str] = []
    machine = SimpleNamespace(destroy_when_not_in_use=lambda: calls.append("destroyed"))
    compatibility.destroy_state_machine(SimpleNamespace(_state_machine=machine))
    assert calls == ["destroyed"]


@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_bytes_arrive_as_a_message(ros, way: str, kind: type) -> None:
    received: list[String] = []
    node = ros.node("sender")
    publisher = node.create_publisher(String, "words", 5)
    ros.node("receiver").create_subscription(String, "words", received.append, 5)
    ros.spin_until(lambda: publisher.get_subscription_count() == 1, "discovery")

    compatibility.publish_serialized(publisher, kind(serialize_message(String(data="a word"))))

    ros.spin_until(lambda: bool(received), "the message was received")
    assert received == [String(data="a word")]


def test_lifecycle_publisher_is_silent_until_active(ros, way: str) -> None:
    received: list[String] = []
    node = ros.add(LifecycleNode("sender", context=ros.context))
    publisher = node.create_lifecycle_publisher(String, "words", 5)
    ros.node("receiver").create_subscription(String, "words", received.append, 5)
    ros.spin_until(lambda: publisher.get_subscription_count() == 1, "discovery")

    compatibility.publish_serialized(publisher, serialize_message(String(data="inactive")))
    publisher.on_activate(None)
    compatibility.publish_serialized(publisher, serialize_message(String(data="active")))

    ros.spin_until(lambda: bool(received), "the message was received")
    assert received == [String(data="active")]
