# SPDX-License-Identifier: Apache-2.0
"""The executor of every node: a failing callback is logged and does not end the process."""

from __future__ import annotations

import contextlib
import threading
import time
import traceback

from rclpy.context import Context
from rclpy.executors import (
    ExternalShutdownException,
    ShutdownException,
    SingleThreadedExecutor,
)
from rclpy.signals import uninstall_signal_handlers

from fusion_ros.nodes.runtime.log_lines import RepeatedEvents, error_lines

_PAUSE_AFTER_FAILURE_S = 0.01
"""Keeps a callback that fails at once from occupying a core."""


class NodeExecutor(SingleThreadedExecutor):
    """`SingleThreadedExecutor` whose `spin` continues after an exception of a callback.

    Callbacks of rclpy itself raise, too: its parameter services on a value of an unknown type.
    """

    def __init__(self, *, context: Context | None = None) -> None:
        self._is_shut_down = threading.Event()
        super().__init__(context=context)

    def __del__(self) -> None:
        """Finish an executor whose `__init__` was interrupted, where rclpy raises."""
        with contextlib.suppress(AttributeError):
            super().__del__()

    def shutdown(self, timeout_sec: float | None = 0.0) -> bool:
        """Stop spinning and release the nodes; see `SingleThreadedExecutor`.

        By default it does not wait for callbacks. Humble's rclpy would wait for ever for the
        callback that calls this, and for a coroutine that nothing resumes after the last spin.

        The process handles signals as before `rclpy.init` from here on. rclpy's thread for signals
        triggers a guard condition of the executor, which could be destroyed meanwhile: the process
        then ends with SIGSEGV. Without the handlers that thread has ended.
        """
        self._is_shut_down.set()
        uninstall_signal_handlers()
        return bool(super().shutdown(timeout_sec))

    def spin(self) -> None:
        """Spin until shutdown; log an exception of a callback, at a limited rate, and go on."""
        log_failure = RepeatedEvents(self._log_error)
        while self.context.ok() and not self._is_shut_down.is_set():
            try:
                self.spin_once()
            except (ShutdownException, ExternalShutdownException):
                raise
            except Exception as error:
                if not self.context.ok():
                    raise
                where = traceback.extract_tb(error.__traceback__)[-1]
                text = "".join(traceback.format_exception(error))
                log_failure((type(error), where.filename, where.lineno), f"callback failed: {text}")
                time.sleep(_PAUSE_AFTER_FAILURE_S)

    def _log_error(self, text: str) -> None:
        for node in list(self.get_nodes())[:1]:
            error_lines(node)(text)
