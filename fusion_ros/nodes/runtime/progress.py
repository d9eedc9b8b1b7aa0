# SPDX-License-Identifier: Apache-2.0
"""Progress lines in the log while a long step occupies the main thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

PERIOD_S = 5.0


class Progress:
    """Context manager that logs "WHAT for N s" every `period_s` seconds, in its own thread.

    Args:
        write: takes a line of text.
        what: the step.
        period_s: time between two lines.
    """

    def __init__(
        self, write: Callable[[str], object], what: str, *, period_s: float = PERIOD_S
    ) -> None:
        self._write = write
        self._what = what
        self._period_s = period_s
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)

    def __enter__(self) -> Progress:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        begun_s = time.monotonic()
        while not self._done.wait(self._period_s):
            self._write(f"{self._what} for {time.monotonic() - begun_s:.0f} s")
