# SPDX-License-Identifier: Apache-2.0
"""A second Ctrl-C (or launch's own, after the terminal's) must not cut the tidying up short."""

from __future__ import annotations

import signal
import threading


def ignore_further_signals() -> None:
    """From here on SIGINT and SIGTERM change nothing: the process is on its way out.

    To be called first of all where a process tidies up. Who cannot wait has SIGKILL.
    """
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
