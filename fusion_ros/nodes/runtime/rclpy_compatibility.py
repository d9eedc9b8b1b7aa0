# SPDX-License-Identifier: Apache-2.0
"""Every use of rclpy that is not part of its documented API, each with a check and a fallback.

`inactive_paths` names the checks that fail with the installed rclpy. `log_paths` writes the result
to the log when a node starts, so that a fallback never takes effect unnoticed.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

from lifecycle_msgs.srv import ChangeState
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode, LifecyclePublisher
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.subscription import Subscription

from fusion_ros.nodes.runtime.log_lines import info_line, warning_line

_STATE_MACHINE = "_state_machine"
_OVERRIDES = "_parameter_overrides"
_Subscription = getattr(rclpy_implementation, "Subscription", None)


def has_message_info() -> bool:
    """Return whether a subscription's callback may take message info, which Humble lacks."""
    return hasattr(Subscription, "CallbackType")


def inactive_paths(node: Node) -> dict[str, str]:
    """Return the consequence of each non-public path that this rclpy does not offer, by name."""
    checks = {
        "librcl": (
            _rcl_publish() is not None,
            "a publish keeps the interpreter lock, so that a stopped subscriber on this machine "
            "can delay the whole node",
        ),
        "parameter_overrides": (
            hasattr(node, _OVERRIDES),
            "misspelt parameters given at start are not reported",
        ),
        "state_machine": (
            not isinstance(node, LifecycleNode) or _destroys_state_machine(node),
            "other nodes may see this one until Python collects garbage",
        ),
        "take": (
            hasattr(_Subscription, "take_message"),
            "the second image of a pair waits .3 ms for a round of the executor",
        ),
        "message_info": (has_message_info(), "`replay --live` includes transport in its ages"),
    }
    return {name: effect for name, (is_active, effect) in checks.items() if not is_active}


def log_paths(node: Node) -> None:
    """Log one line: all paths are active, or the effect of each one that is not."""
    inactive = inactive_paths(node)
    if inactive:
        effects = "; ".join(f"{name}: {effect}" for name, effect in inactive.items())
        warning_line(node)(f"rclpy compatibility: not available here: {effects}")
    else:
        info_line(node)("rclpy compatibility: all paths are active")


def undeclared_parameters(node: Node) -> list[str]:
    """Return the parameters given at start (command line, file) that the node did not declare.

    rclpy ignores them without a message.
    """
    given: dict[str, Any] = getattr(node, _OVERRIDES, {})
    return sorted(
        name
        for name in given
        if not node.has_parameter(name) and not name.startswith("qos_overrides.")
    )


def destroy_state_machine(node: LifecycleNode) -> None:
    """Remove a destroyed node from the graph at once.

    Node and state machine refer to each other, so that otherwise the garbage collector decides.
    """
    if _destroys_state_machine(node):
        getattr(node, _STATE_MACHINE).destroy_when_not_in_use()


def answer_impossible_transitions(node: LifecycleNode) -> None:
    """Respond to requests of a transition that the present state does not have.

    rclpy raises in its service callback then, and the caller waits for ever.
    """
    for service in node.services:
        if service.srv_type is ChangeState:
            service.callback = _answered(service.callback)


def _answered(change_state: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def answer(request: Any, response: Any) -> Any:
        try:
            return change_state(request, response)
        except RuntimeError:  # RCLError; rcl has logged the transition and the state
            response.success = False
            return response

    return answer


def take_waiting(subscription: Subscription) -> Any:
    """Return the oldest message that waits in a subscription, or None; without the executor.

    The executor makes a new wait set of all entities of the node for each message, which takes
    .3 ms. To be called in its thread. Returns bytes where the subscription is `raw`.
    """
    take = getattr(subscription.handle, "take_message", None)
    if take is None:
        return None
    with subscription.handle:  # keeps it from being destroyed meanwhile
        taken = take(subscription.msg_type, subscription.raw)
    return None if taken is None else taken[0]


def publish_serialized(publisher: Publisher, serialized: bytes | bytearray) -> None:
    """Publish a message as CDR bytes; do nothing where a lifecycle publisher is not active.

    `Publisher.publish` keeps Python's interpreter lock until the middleware returns. That takes
    seconds where a stopped subscriber holds a lock in shared memory (see config/fastdds_shm.xml).
    librcl's function, called through ctypes, releases the interpreter lock meanwhile.

    Raises:
        RuntimeError: the middleware refused the message.
    """
    if isinstance(publisher, LifecyclePublisher) and not publisher.is_activated:
        return
    publish = _rcl_publish()
    if publish is None:
        publisher.publish(bytes(serialized))
        return
    size = len(serialized)
    kind = ctypes.c_char * size
    memory = (
        kind.from_buffer(serialized)
        if isinstance(serialized, bytearray)
        else kind.from_buffer_copy(serialized)
    )
    message = _SerializedMessage(ctypes.addressof(memory), size, size)
    with publisher.handle:  # keeps it from being destroyed meanwhile
        code = publish(publisher.handle.pointer, ctypes.byref(message), None)
    if code:
        _reset_error()
        raise RuntimeError(
            f"{publisher.topic_name}: the middleware refused a message (code {code})"
        )


class _Allocator(ctypes.Structure):
    """`rcutils_allocator_t`; publishing does not use it."""

    _fields_ = [
        (name, ctypes.c_void_p)
        for name in ("allocate", "deallocate", "reallocate", "zero_allocate", "state")
    ]


class _SerializedMessage(ctypes.Structure):
    """`rcl_serialized_message_t`."""

    _fields_ = [
        ("buffer", ctypes.c_void_p),
        ("buffer_length", ctypes.c_size_t),
        ("buffer_capacity", ctypes.c_size_t),
        ("allocator", _Allocator),
    ]


@cache
def _rcl_publish() -> Callable[[int, Any, None], int] | None:
    """Return librcl's function, or None where a name that it needs is missing."""
    if not hasattr(Publisher, "handle"):
        return None
    try:
        function = ctypes.CDLL("librcl.so").rcl_publish_serialized_message
    except (OSError, AttributeError):
        return None
    function.argtypes = [ctypes.c_void_p, ctypes.POINTER(_SerializedMessage), ctypes.c_void_p]
    function.restype = ctypes.c_int
    return function


def _reset_error() -> None:
    """Clear librcl's error text of this thread; it would log that the next one overwrites it."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("librcutils.so").rcutils_reset_error()


def _destroys_state_machine(node: LifecycleNode) -> bool:
    return hasattr(getattr(node, _STATE_MACHINE, None), "destroy_when_not_in_use")
