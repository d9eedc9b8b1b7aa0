# SPDX-License-Identifier: Apache-2.0
"""One thread, one place to wait: the newest job wins.

While the worker is busy at most one job waits. A newer one takes its place, so what comes out is
never older than one job in work plus one that waited, whatever the load.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from fusion_ros.nodes.runtime.stopping import register_abandoned

Job = TypeVar("Job")

HEAD_START_S = 0.001
"""For so long whoever hands a job to an idle worker sleeps. A waking thread does not get Python's
lock while the one that woke it still computes, and the executor goes on to its next round."""


class NewestWorker(Generic[Job]):
    """Runs `process` on the newest job submitted; the thread starts with `start`.

    Args:
        process: called in the worker's thread, one job at a time. It must not raise: an exception
            ends the worker and is raised again by `stop`.
        superseded: called with each job that will never be processed, in the thread that caused
            it. Every submitted job reaches exactly one of the two.
        name: the thread's name.
        head_start_s: how long `submit` sleeps after it handed a job to an idle worker.
    """

    def __init__(
        self,
        process: Callable[[Job], None],
        superseded: Callable[[Job], None],
        *,
        name: str = "worker",
        head_start_s: float = HEAD_START_S,
    ) -> None:
        self._process = process
        self._superseded = superseded
        self._head_start_s = head_start_s
        self._changed = threading.Condition()
        self._waiting: Job | None = None
        self._idle = False
        self._stopping = False
        self._failure: BaseException | None = None
        # A daemon, so that a device that never answers cannot keep a process from ending.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Hand over a job; it takes the place of one that waits. After `stop` it is superseded.

        An idle worker gets the interpreter for `head_start_s`.
        """
        with self._changed:
            refused = self._stopping or self._failure is not None
            old = job if refused else self._waiting
            idle = self._idle and not refused
            if not refused:
                self._waiting = job
                self._changed.notify()
        if old is not None:
            self._superseded(old)
        elif idle and self._head_start_s:
            time.sleep(self._head_start_s)

    def stop(self, timeout_s: float | None = None) -> bool:
        """Finish the job in work, give up the one that waits, end the thread.

        Returns:
            Whether the thread ended within `timeout_s`.

        Raises:
            BaseException: what `process` raised, if it did.
        """
        with self._changed:
            self._stopping = True
            old, self._waiting = self._waiting, None
            self._changed.notify()
        if old is not None:
            self._superseded(old)
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        if self._failure is not None:
            raise self._failure
        return not self._thread.is_alive()

    @property
    def has_waiting(self) -> bool:
        """Whether a job waits."""
        return self._waiting is not None

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs; false before `start`."""
        return self._thread.is_alive()

    def abandon(self) -> None:
        """Leave a worker whose job does not end: its thread takes no further job.

        The process must not wait for it, nor tear down what it may still use; see `stopping`.
        """
        with self._changed:
            self._stopping = True
            old, self._waiting = self._waiting, None
            self._changed.notify()
        if old is not None:
            self._superseded(old)
        register_abandoned(self._thread)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._idle = True
                self._changed.wait_for(lambda: self._waiting is not None or self._stopping)
                self._idle = False
                job, self._waiting = self._waiting, None
            if job is None:
                return
            try:
                self._process(job)
            except BaseException as failure:
                with self._changed:
                    self._failure = failure
                    old, self._waiting = self._waiting, None
                if old is not None:
                    self._superseded(old)
                return
