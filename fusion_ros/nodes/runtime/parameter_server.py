# SPDX-License-Identifier: Apache-2.0
"""The parameter table on a ROS node: declarations, descriptions, checks and changes."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node
from rclpy.parameter import Parameter

from fusion_ros.nodes.runtime.log_lines import error_lines, warning_line
from fusion_ros.nodes.runtime.rclpy_compatibility import undeclared_parameters
from fusion_ros.outside_text import printable
from fusion_ros.parameters import SPECS, FuseParameters, ParameterError, ParameterSpec

_INT64 = 2**63 - 1


class ParameterServer:
    """Declaration of every parameter on a node, and the checked values.

    Args:
        node: node of the parameters.
        is_configured: whether parameters that are not live are in use and must not change.
        apply: called with the new values before a change is stored. If it raises, the change is
            refused and it is called with the old values again.

    Raises:
        ParameterError: a value given at start cannot be used.
    """

    def __init__(
        self,
        node: LifecycleNode,
        *,
        is_configured: Callable[[], bool],
        apply: Callable[[FuseParameters], None],
    ) -> None:
        self._is_configured = is_configured
        self._apply = apply
        self._log = error_lines(node)
        self._name = node.get_fully_qualified_name()
        self._by_name = {spec.name: spec for spec in SPECS}
        self.current = FuseParameters.from_values(declare(node, SPECS))
        node.add_on_set_parameters_callback(self._on_set)

    def _on_set(self, parameters: Sequence[Parameter]) -> SetParametersResult:
        """Make all changes or none: check the complete resulting record, then apply it.

        An exception that leaves a parameter callback would end the process.
        """
        try:
            self._take({parameter.name: parameter.value for parameter in parameters})
        except ParameterError as error:
            return SetParametersResult(successful=False, reason=str(error))
        except Exception as error:
            self._log("".join(traceback.format_exception(error)))
            reason = f"nothing was changed: {type(error).__name__}: {printable(error, 400)}"
            return SetParametersResult(successful=False, reason=reason)
        return SetParametersResult(successful=True)

    def _take(self, values: Mapping[str, Any]) -> None:
        """Check and apply changes, then keep them.

        Raises:
            ParameterError: a change cannot be used; everything is as it was.
        """
        # rclpy checks this one in a callback of its own after this one, which must not have
        # applied anything by then.
        if not isinstance(values.get("use_sim_time", False), bool):
            raise ParameterError("parameter use_sim_time takes bool: true | false")
        changes = {}
        for name, given in values.items():
            spec = self._by_name.get(name)
            if spec is None:
                continue  # a parameter of rclpy, such as use_sim_time
            value = spec.check(given)
            if value == getattr(self.current, name):
                continue
            if not spec.live and self._is_configured():
                raise ParameterError(
                    f"parameter {name} is read by `configure`; deactivate and clean up the node "
                    "first, then set it and configure again"
                )
            changes[name] = value
        if not changes:
            return
        try:
            new = self.current.changed(changes)
        except ParameterError as error:
            if len(error.names) < 2:
                raise
            raise ParameterError(
                f"{error}. Set the other parameter first, or both in one call of the service "
                f"{self._name}/set_parameters_atomically",
                names=error.names,
            ) from error
        try:
            self._apply(new)
        except Exception:
            self._apply(self.current)
            raise
        self.current = new


def declare(
    node: Node, specs: Sequence[ParameterSpec], *, read_only: bool = False
) -> dict[str, Any]:
    """Declare parameters on a node and return their checked values by name.

    Raises:
        ParameterError: a value given at start cannot be used.
    """
    values = {}
    for spec in specs:
        descriptor = _descriptor(spec, read_only)
        try:
            declared: Any = node.declare_parameter(spec.name, spec.default, descriptor)
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            hint = " (write 20.0 for 20)" if spec.kind is float else ""
            raise ParameterError(
                f"parameter {spec.name} has a value of a wrong type or out of range; it takes "
                f"{spec.kind.__name__}: {spec.allowed}{hint}. rclpy: {printable(error, 400)}"
            ) from error
        values[spec.name] = spec.check(declared.value)
    if ignored := undeclared_parameters(node):
        warning_line(node)(f"ignored: {ParameterError.of_unknown(ignored, values)}")
    return values


def _descriptor(spec: ParameterSpec, read_only: bool) -> ParameterDescriptor:
    notes = [f"one of {spec.allowed}"] if spec.choices else []
    notes += [] if spec.live or read_only else ["read by configure"]
    descriptor = ParameterDescriptor(
        description=spec.meaning,
        additional_constraints="; ".join(notes),
        read_only=read_only,
    )
    if spec.low is None and spec.high is None:
        return descriptor
    if spec.kind is float:
        low = -1e308 if spec.low is None else float(spec.low)
        high = 1e308 if spec.high is None else float(spec.high)
        descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    if spec.kind is int:
        first = -_INT64 if spec.low is None else int(spec.low)
        last = _INT64 if spec.high is None else int(spec.high)
        descriptor.integer_range = [IntegerRange(from_value=first, to_value=last, step=1)]
    return descriptor
