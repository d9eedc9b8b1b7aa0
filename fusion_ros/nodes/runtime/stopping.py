# SPDX-License-Identifier: Apache-2.0
"""Stops that come before there is anything to tidy up, while it is being tidied up, or never."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator

_STOPS = (signal.SIGINT, signal.SIGTERM)
LONGEST_STOP_S = 4.0
"""A process ends this long after the signal at the latest, whatever its threads do."""
_POLL_S = 0.1

_abandoned: weakref.WeakSet[threading.Thread] = weakref.WeakSet()


def register_abandoned(thread: threading.Thread) -> None:
    """Note a thread that nobody waits for any more, because its work does not end."""
    _abandoned.add(thread)


def has_abandoned_threads() -> bool:
    """Whether a thread that was given up still runs, and may use what a tidy end destroys."""
    return any(thread.is_alive() for thread in _abandoned)


def end_at_once(code: int) -> None:
    """End the process without tearing down what its threads may be using."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def limit_stop(
    name: str, is_stopped: Callable[[], bool], *, code: int, limit_s: float = LONGEST_STOP_S
) -> Callable[[], None]:
    """End the process where a stop does not come to its end within `limit_s`.

    For calls that no exception can interrupt: a network that is being compiled, a device or a
    middleware that does not answer. A call that also keeps the interpreter's lock delays this.

    Args:
        name: of the program, for the message.
        is_stopped: whether a stop was requested.
        code: the exit code.
        limit_s: how long a stop may take.

    Returns:
        Ends the watch; to be called when the stop is done.
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

    threading.Thread(target=watch, name="stop limit", daemon=True).start()
    return done.set


@contextlib.contextmanager
def quiet_while_importing(*, code: int) -> Iterator[None]:
    """In this block SIGINT and SIGTERM end the process with `code`, at once and without a word.

    For the seconds in which Python imports rclpy and torch: a KeyboardInterrupt there would end in
    a traceback out of some module's middle, and there is nothing yet to tidy up.
    """
    before = {number: signal.signal(number, lambda *_: os._exit(code)) for number in _STOPS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_further_signals() -> None:
    """From here on SIGINT and SIGTERM change nothing: the process is on its way out.

    To be called first of all where a process tidies up: a second Ctrl-C (or launch's own, after the
    terminal's) must not cut that short. Who cannot wait has SIGKILL.
    """
    if threading.current_thread() is threading.main_thread():
        for number in _STOPS:
            signal.signal(number, signal.SIG_IGN)
