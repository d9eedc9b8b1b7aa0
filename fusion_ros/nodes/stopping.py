# SPDX-License-Identifier: Apache-2.0
"""Stops that come before there is anything to tidy up, or while it is being tidied up."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

_STOPS = (signal.SIGINT, signal.SIGTERM)


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
