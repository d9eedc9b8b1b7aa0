# SPDX-License-Identifier: Apache-2.0
"""An executor that takes camera frames before it looks at anything else.

A round of rclpy's executor makes a new wait set, waits, and then asks every service, timer and
event handler of the node (a lifecycle node has some thirty) whether it is ready: a quarter of a
millisecond between the arrival of a frame and its callback. This one waits with a wait set that it
keeps, takes frames straight from it, and leaves all else to rclpy's own round.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any

from rclpy.context import Context
from rclpy.exceptions import InvalidHandle
from rclpy.executors import (
    ExternalShutdownException,
    ShutdownException,
    SingleThreadedExecutor,
)
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.utilities import timeout_sec_to_nsec

from fusion_ros.nodes.runtime.log_lines import error_lines
from fusion_ros.nodes.runtime.subscription import FollowingSubscription
from fusion_ros.streams.repeated_events import RepeatedEvents

_AFTER_FAILURE_S = 0.01
"""Pause after a callback failed, so that one that fails at once does not take a whole core."""


class FramesFirstExecutor(SingleThreadedExecutor):
    """Spins nodes as `SingleThreadedExecutor` does, frames first; see the module.

    After frames, something else gets its turn, so that not even a storm of frames keeps a service
    from being answered. Events of the middleware (a peer's quality of service does not fit) are
    looked at whenever anything but a frame is ready.
    """

    _sigint_gc = None
    """Where a stop comes while this is made: rclpy's `__del__` reads it, and complains."""

    def __init__(self, *, context: Context | None = None) -> None:
        super().__init__(context=context)
        self.frames: Callable[[], Iterable[FollowingSubscription]] = tuple
        """The subscriptions that come first, as they stand now."""
        # Not rclpy's public face; an rclpy that has them no more gets its own rounds alone.
        self._knows_rclpy = hasattr(self, "_tasks") and hasattr(self, "_guard")
        self._sizes: tuple[int, ...] = ()
        self._wait_set: Any = None

    def spin(self) -> None:
        """Spin until shutdown. An exception of a callback is logged and ends nothing.

        Also rclpy's own callbacks raise: its parameter services at a value of no known type.
        """
        log_failure = RepeatedEvents(self._log_error)
        while self.context.ok() and not self._is_shutdown:
            try:
                self.spin_once()
            except (ShutdownException, ExternalShutdownException):
                raise
            except Exception as error:
                if not self.context.ok():
                    raise
                where = traceback.extract_tb(error.__traceback__)[-1]
                told = "".join(traceback.format_exception(error))
                log_failure((type(error), where.filename, where.lineno), f"callback failed: {told}")
                time.sleep(_AFTER_FAILURE_S)

    def _log_error(self, text: str) -> None:
        for node in list(self.get_nodes())[:1]:
            error_lines(node)(text)

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Wait for anything, at most so long, and handle what is ready: frames, and one more."""
        if self._is_for_rclpy_alone():
            super().spin_once(timeout_sec)
            return
        with ExitStack() as held:
            try:
                self._wait(timeout_sec, held)
            except InvalidHandle:  # a node is being destroyed, by another thread
                return
            ready = set(self._wait_set.get_ready_entities("subscription"))
            for frames in self.frames():
                if frames.pointer in ready:
                    ready.discard(frames.pointer)
                    frames.take()
            kinds = ("timer", "client", "service")
            others = ready or any(self._wait_set.get_ready_entities(kind) for kind in kinds)
        if others:
            super().spin_once(0.0)

    def _is_for_rclpy_alone(self) -> bool:
        """Whether a coroutine is under way, or something is there that only its round can tell."""
        if not self._knows_rclpy:
            return True
        nodes = self.get_nodes()
        waits = any(not task.done() for task, *_ in self._tasks)
        return waits or not nodes or any(True for node in nodes for _ in node.guards)

    def _wait(self, timeout_sec: float | None, held: ExitStack) -> None:
        """Wait for everything that rclpy's round waits for, and keep it from being destroyed."""
        nodes = self.get_nodes()
        waited_for = (
            ("subscription", [s for node in nodes for s in node.subscriptions]),
            ("guard_condition", [g for g in (self._guard, self._sigint_gc) if g is not None]),
            ("timer", [t for node in nodes for t in node.timers]),
            ("client", [c for node in nodes for c in node.clients]),
            ("service", [s for node in nodes for s in node.services]),
        )
        sizes = tuple(len(entities) for _, entities in waited_for)
        if sizes != self._sizes:
            self._sizes = sizes
            self._wait_set = _rclpy.WaitSet(*sizes, 0, self.context.handle)
        self._wait_set.clear_entities()
        for kind, entities in waited_for:
            add = getattr(self._wait_set, f"add_{kind}")
            for entity in entities:
                held.enter_context(entity.handle)
                add(entity.handle)
        self._wait_set.wait(timeout_sec_to_nsec(timeout_sec))
