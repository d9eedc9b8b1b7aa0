# SPDX-License-Identifier: Apache-2.0
"""Publish without Python's interpreter lock.

`rclpy.publisher.Publisher.publish` keeps the lock until the middleware returns. Where a subscriber
of the same machine holds up the middleware (see config/fastdds_shm.xml), that stops every thread
of the process, and not only the one that publishes. librcl's own function, called through ctypes,
releases the lock.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

from rclpy.lifecycle import LifecyclePublisher
from rclpy.publisher import Publisher


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
    """Librcl's function, or None where the library that rclpy loaded cannot be found."""
    try:
        function = ctypes.CDLL("librcl.so").rcl_publish_serialized_message
    except (OSError, AttributeError):
        return None
    function.argtypes = [ctypes.c_void_p, ctypes.POINTER(_SerializedMessage), ctypes.c_void_p]
    function.restype = ctypes.c_int
    return function


def _forget_error() -> None:
    """Clear librcl's error text of this thread, which it would report as overwritten later on."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("librcutils.so").rcutils_reset_error()


def releases_the_lock() -> bool:
    """Whether `publish_serialized` leaves the interpreter to other threads."""
    return _rcl_publish() is not None


def publish_serialized(publisher: Publisher, serialized: bytes | bytearray) -> None:
    """Publish a message as CDR bytes; nothing where a lifecycle publisher is not active.

    Raises:
        RuntimeError: the middleware refused it.
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
    with publisher.handle:  # so that it is not destroyed meanwhile
        code = publish(publisher.handle.pointer, ctypes.byref(message), None)
    if code:
        _forget_error()
        raise RuntimeError(
            f"{publisher.topic_name}: the middleware refused a message (code {code})"
        )
