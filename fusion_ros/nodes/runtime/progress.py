# SPDX-License-Identifier: Apache-2.0
"""Progress lines in the log while a long step occupies the main thread."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

PERIOD_S = 5.0


@contextlib.contextmanager
def progress(write: Callable[[str], object], what: str) -> Iterator[None]:
    """Write "WHAT for N s" every `PERIOD_S` seconds during this block, from its own thread."""
    done = threading.Event()

    def run() -> None:
        begun_s = time.monotonic()
        while not done.wait(PERIOD_S):
            write(f"{what} for {time.monotonic() - begun_s:.0f} s")

    thread = threading.Thread(target=run, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
