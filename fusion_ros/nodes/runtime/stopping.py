# SPDX-License-Identifier: Apache-2.0
"""Stops during start-up, during clean-up, and stops that do not finish."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator

_STOPS = (signal.SIGINT, signal.SIGTERM)
LONGEST_STOP_S = 4.0
"""Longest time from the signal to the end of the process."""
_LONGEST_CLEAN_UP_S = 8.0
_POLL_S = 0.1
_WATCH = "stop limit"


def has_abandoned_threads() -> bool:
    """Whether a daemon thread still runs: a hung call, a reload, the retry of an engine.

    It may use objects that clean-up destroys. A native library that runs while its destructors run
    ends the process with SIGABRT or SIGSEGV.
    """
    return any(thread.daemon and thread.name != _WATCH for thread in threading.enumerate())


def end_at_once(code: int) -> None:
    """End the process without destroying anything that its threads may be using."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def limit_stop(
    name: str, is_stopped: Callable[[], bool], *, code: int, limit_s: float = LONGEST_STOP_S
) -> Callable[[], None]:
    """End the process if a stop does not finish within `limit_s`.

    This covers calls that no exception can interrupt: compiling a network, a driver or a middleware
    that does not return. A call that also keeps the interpreter lock delays it.

    Args:
        name: name of the program, for the message.
        is_stopped: whether a stop was requested.
        code: the exit code of the process.

    Returns:
        A function that ends the watch, to be called when the stop is done.
    """
    done = threading.Event()

    def watch() -> None:
        while not is_stopped():
            if done.wait(_POLL_S):
                return
        end_s = time.monotonic() + limit_s
        while time.monotonic() < end_s:
            if done.wait(_POLL_S):
                return
        print(
            f"{name}: still busy {limit_s:g} s after the stop was requested; the process ends now",
            file=sys.stderr,
        )
        end_at_once(code)

    threading.Thread(target=watch, name=_WATCH, daemon=True).start()
    return done.set


@contextlib.contextmanager
def quiet_while_importing(*, code: int) -> Iterator[None]:
    """End the process with `code`, at once and silently, on SIGINT and SIGTERM in this block.

    For the seconds in which Python imports rclpy and torch. A KeyboardInterrupt there would print a
    traceback, and there is nothing to release yet.
    """
    before = {number: signal.signal(number, lambda *_: os._exit(code)) for number in _STOPS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_further_signals() -> None:
    """Ignore SIGINT and SIGTERM until the process ends.

    Called at the start of clean-up, which a second Ctrl-C, or that of launch after the terminal's,
    must not interrupt. SIGKILL remains.
    """
    if threading.current_thread() is threading.main_thread():
        for number in _STOPS:
            signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def limited_clean_up() -> Iterator[None]:
    """End the process with code 1, and print all stacks, where this block takes over 8 s.

    For the destruction of nodes. It works where the middleware keeps the interpreter lock, too:
    Fast DDS 2.14 may not return from `rmw_destroy_node`.
    """
    if sys.__stderr__ is not None:
        faulthandler.dump_traceback_later(_LONGEST_CLEAN_UP_S, exit=True, file=sys.__stderr__)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
