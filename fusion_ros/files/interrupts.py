# SPDX-License-Identifier: Apache-2.0
"""Deferral of Ctrl-C while a file is in a state that must not remain."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any


class DeferredInterrupts:
    """Context manager in which the handlers of SIGINT and SIGTERM wait for `held` blocks to end.

    Python runs signal handlers between two instructions of the main thread, so a KeyboardInterrupt
    may stop a library in the middle of a write. In another thread this class does nothing.
    """

    def __init__(self) -> None:
        self._handlers: dict[int, Any] = {}
        self._is_held = False
        self._waiting: int | None = None

    def __enter__(self) -> DeferredInterrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if callable(signal.getsignal(number)):
                    self._handlers[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Run the block to its end; a signal that arrives meanwhile is handled after it."""
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False
            if self._waiting is not None:
                number, self._waiting = self._waiting, None
                self._handlers[number](number, None)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self._is_held:
            self._waiting = number
        else:
            self._handlers[number](number, frame)
