# SPDX-License-Identifier: Apache-2.0
"""Every live parameter over the real services: no value ends the node or leaves it inconsistent."""

from __future__ import annotations

import dataclasses
import math
import random

import numpy as np
import pytest
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.msg import ParameterType, ParameterValue
from rcl_interfaces.srv import GetParameters, SetParameters, SetParametersAtomically
from rclpy.parameter import Parameter
from rig import Rig

from fusion_ros.nodes.runtime.executor import NodeExecutor
from fusion_ros.parameters import SPECS, FuseParameters, ParameterSpec

pytestmark = pytest.mark.ros

LIVE = [spec for spec in SPECS if spec.live]


def legal_values(spec: ParameterSpec) -> list:
    """Values that the table allows for one parameter alone."""
    if spec.kind is bool:
        return [True, False]
    if spec.choices:
        return list(spec.choices)
    if spec.kind is str:
        return [
            "",
            "3,4",
            "3,4; 5,6",
            "10 20",
            "x",
            "1,2,3",
            "-1,2",
            "9" * 5000 + ",1",
            "\x1b[2J\n",
        ]
    low, high = spec.low, spec.high
    middle = low + (high - low) / 2
    values = [low, high, middle, low + (high - low) * 0.999, spec.default]
    if low <= 0 <= high:
        values += [0, 1e-300, -1e-300] if low < 0 else [0, 1e-300]
    return [spec.kind(value) for value in values if low <= spec.kind(value) <= high]


def illegal_values(spec: ParameterSpec) -> list:
    """Values of other types and out of range, as messages can carry them."""
    values = ["text", True, 7, 7.5, math.nan, math.inf, -math.inf, 2**62, ["a", "b"], [1], [1.5]]
    values += [[True], b"ab", []]
    return [value for value in values if type(value) is not spec.kind] + (
        [math.nan, math.inf, -math.inf, 1e308] if spec.kind is float else []
    )


class Services:
    """The parameter services of a rig's node, called from another node."""

    def __init__(self, ros, rig: Rig) -> None:
        self.ros, self.rig = ros, rig
        name = "/fuse_node"
        self._clients = {
            kind: rig.cameras.create_client(kind, f"{name}/{service}")
            for kind, service in (
                (SetParameters, "set_parameters"),
                (SetParametersAtomically, "set_parameters_atomically"),
                (GetParameters, "get_parameters"),
            )
        }

    def call(self, kind, request):
        client = self._clients[kind]
        self.ros.spin_until(client.service_is_ready, "the service is there")
        future = client.call_async(request)
        self.ros.spin_until(future.done, f"the node answers {kind.__name__}")
        return future.result()

    def set(self, values: dict) -> list:
        messages = [as_message(name, value) for name, value in values.items()]
        return self.call(SetParameters, SetParameters.Request(parameters=messages)).results

    def set_together(self, values: dict):
        messages = [as_message(name, value) for name, value in values.items()]
        request = SetParametersAtomically.Request(parameters=messages)
        return self.call(SetParametersAtomically, request).result

    def stored(self) -> dict:
        names = [spec.name for spec in SPECS]
        answer = self.call(GetParameters, GetParameters.Request(names=names)).values
        return {
            name: Parameter.from_parameter_msg(ParameterMessage(name=name, value=value)).value
            for name, value in zip(names, answer, strict=True)
        }

    def assert_consistent(self) -> None:
        """The stored values are a valid record, and the one that is in use."""
        stored = self.stored()
        assert FuseParameters.from_values(stored) == self.rig.node.parameters.current


def as_message(name: str, value: object) -> ParameterMessage:
    if isinstance(value, bytes):
        kind, field = ParameterType.PARAMETER_BYTE_ARRAY, [bytes([b]) for b in value]
        return ParameterMessage(name=name, value=ParameterValue(type=kind, byte_array_value=field))
    if value == []:
        return ParameterMessage(
            name=name, value=ParameterValue(type=ParameterType.PARAMETER_NOT_SET)
        )
    return Parameter(name, value=value).to_parameter_msg()


@pytest.fixture
def services(ros) -> Services:
    return Services(ros, Rig(ros, {"stream_timeout_ms": 60_000.0}))


def send_pair_with_counts(rig: Rig, stamp_ms: float) -> None:
    """A pair whose thermal half goes through the whole tone mapping."""
    rig.send_visible(stamp_ms)
    ramp = (29000 + np.arange(48 * 64, dtype=np.uint16) % 1999).reshape(48, 64)
    rig.send_thermal(stamp_ms, ramp)


def test_no_single_value_ends_the_node_or_is_stored_unchecked(services):
    before = services.stored()
    for spec in LIVE:
        for value in legal_values(spec) + illegal_values(spec):
            (result,) = services.set({spec.name: value})
            after = services.stored()
            assert FuseParameters.from_values(after) == services.rig.node.parameters.current
            assert result.successful or (result.reason and after == before), (spec.name, value)
            before = after
        assert services.set({spec.name: spec.default})[0].successful, spec.name
        before[spec.name] = spec.default


def test_random_sets_never_end_the_node_and_frames_stay_accounted_for(services):
    rig, chance = services.rig, random.Random(14)
    taken = refused = 0
    # With a short timeout and on_stream_loss 'stop' the node would deactivate between two rounds.
    sampled = [spec for spec in LIVE if spec.name != "stream_timeout_ms"]
    for round_number in range(60):
        chosen = chance.sample(sampled, chance.randint(1, 6))
        values = {}
        for spec in chosen:
            pool = legal_values(spec)
            if chance.random() < 0.1:
                pool = illegal_values(spec)
            values[spec.name] = chance.choice(pool)
        results = [services.set_together(values)] if round_number % 2 else services.set(values)
        taken += sum(result.successful for result in results)
        refused += sum(not result.successful for result in results)
        services.assert_consistent()
        send_pair_with_counts(rig, 1000.0 + 100 * round_number)
        rig.wait_for_received(round_number + 1)
    assert taken > 20
    assert refused > 5
    rig.node.trigger_deactivate()
    for counts in rig.counts().values():
        assert counts["pending"] == 0
        assert "internal_error" not in counts["rejected_by_reason"]


@pytest.mark.parametrize(
    ("name", "value", "partner", "partner_value"),
    [
        ("tone_fixed_low", 200.0, "tone_fixed_high", 300.0),
        ("tone_low_percent", 99.9, "tone_high_percent", 99.95),
        ("tone_high_percent", 0.1, "tone_low_percent", 0.05),
        ("tone_unit", "linear", "tone_linear_scale", 0.5),
    ],
)
def test_a_refusal_names_both_and_both_ways_that_it_gives_are_taken(
    services, name, value, partner, partner_value
):
    if name == "tone_unit":
        assert services.set({"tone_linear_scale": 0.0})[0].successful
    (refused,) = services.set({name: value})
    assert not refused.successful
    assert name in refused.reason or name == "tone_unit"
    assert partner in refused.reason
    assert "/fuse_node/set_parameters_atomically" in refused.reason or name == "tone_unit"
    defaults = services.stored()
    assert services.set_together({name: value, partner: partner_value}).successful
    services.assert_consistent()
    back = {name: defaults[name], partner: defaults[partner]}
    if name == "tone_unit":
        return
    assert services.set_together(back).successful
    first, second = services.set({partner: partner_value, name: value})
    assert first.successful
    assert second.successful
    services.assert_consistent()


def test_a_change_that_cannot_be_applied_leaves_the_old_values_in_use(services, monkeypatch):
    applied = []

    def apply(values: FuseParameters) -> None:
        applied.append(values.pairing_tolerance_ms)
        if values.pairing_tolerance_ms == 33.0:
            raise RuntimeError("cannot")

    monkeypatch.setattr(services.rig.node._active, "apply", apply)
    (refused,) = services.set({"pairing_tolerance_ms": 33.0})
    assert not refused.successful
    assert applied == [33.0, 20.0]
    assert services.stored()["pairing_tolerance_ms"] == 20.0
    services.assert_consistent()
    assert services.set({"pairing_tolerance_ms": 34.0})[0].successful


def test_a_change_that_rclpy_refuses_afterwards_is_not_applied(services):
    changed = {"pairing_tolerance_ms": 33.0, "use_sim_time": "yes"}
    assert not services.set_together(changed).successful
    services.assert_consistent()


def test_a_callback_that_raises_does_not_end_the_executor(ros):
    """Rclpy's own parameter services raise at a type that no parameter has."""
    rig = Rig(ros, activate=False)
    node = rig.node
    ros.executor.remove_node(node)
    ros.executor.remove_node(rig.cameras)
    executor = NodeExecutor(context=ros.context)
    executor.add_node(node)
    executor.add_node(rig.cameras)
    client = rig.cameras.create_client(SetParameters, "/fuse_node/set_parameters")
    strange = ParameterMessage(name="lazy", value=ParameterValue(type=77))
    answers = []

    def attack() -> None:
        client.call_async(SetParameters.Request(parameters=[strange]))
        usual = Parameter("overlay_opacity", value=0.5).to_parameter_msg()
        future = client.call_async(SetParameters.Request(parameters=[usual]))
        future.add_done_callback(lambda done: (answers.append(done.result()), executor.shutdown(0)))
        timer.cancel()

    timer = rig.cameras.create_timer(0.01, lambda: client.service_is_ready() and attack())
    executor.spin()
    assert answers[0].results[0].successful
    assert dataclasses.asdict(node.parameters.current)["overlay_opacity"] == 0.5
