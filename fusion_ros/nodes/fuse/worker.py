# SPDX-License-Identifier: Apache-2.0
"""A worker thread that processes the newest job.

While it is busy, at most one job waits, and a newer one replaces it. So the age of a result is
limited to one running and one waiting job under any load.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Job = TypeVar("Job")


class NewestWorker(Generic[Job]):
    """Runs `process` on the newest job submitted; the thread starts with `start`.

    Args:
        process: called in the worker's thread, one job at a time. It must not raise.
        superseded: called with each job that will never be processed, in the thread that caused
            it. Every submitted job reaches exactly one of the two.
        name: the thread's name.
    """

    def __init__(
        self,
        process: Callable[[Job], None],
        superseded: Callable[[Job], None],
        *,
        name: str = "worker",
    ) -> None:
        self._process = process
        self._superseded = superseded
        self._changed = threading.Condition()
        self._is_idle = False
        self._handed: Job | None = None
        self._waiting: Job | None = None
        self._stopping = False
        # A daemon, so that a hung device does not prevent the end of the process.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs; false before `start`."""
        return self._thread.is_alive()

    def submit(self, job: Job) -> bool:
        """Submit a job. An idle worker processes it; for a busy one it replaces a waiting job.

        After `stop` it is superseded.

        Returns:
            Whether the worker was idle and processes the job now.
        """
        with self._changed:
            handed = self._is_idle and not self._stopping
            if handed:
                self._handed, self._is_idle = job, False
                self._changed.notify_all()
                return True
            old: Job | None = job
            if not self._stopping:
                old, self._waiting = self._waiting, job
        self._supersede(old)
        return False

    def wait_until_idle(self, timeout_s: float) -> None:
        """Wait until there is no job, at most `timeout_s`."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_idle or self._stopping, timeout_s)

    def stop(self, timeout_s: float, *, finish_waiting: bool = False) -> bool:
        """Finish the running job and end the thread; a waiting job is finished or superseded.

        Returns:
            Whether the thread ended within `timeout_s`. Otherwise it is left behind and takes no
            further job. The process must not wait for it or close resources that it may use.
        """
        with self._changed:
            self._stopping = True
            old = None if finish_waiting else self._take_waiting()
            self._changed.notify_all()
        self._supersede(old)
        if self.is_alive:
            self._thread.join(timeout_s)
        with self._changed:
            old = self._take_waiting()
        self._supersede(old)
        return not self.is_alive

    def _supersede(self, job: Job | None) -> None:
        if job is not None:
            self._superseded(job)

    def _take_waiting(self) -> Job | None:
        job, self._waiting = self._waiting, None
        return job

    def _run(self) -> None:
        while True:
            with self._changed:
                job = self._take_waiting()
                if job is None:
                    self._is_idle = True
                    self._changed.notify_all()
                    self._changed.wait_for(lambda: not self._is_idle or self._stopping)
                    self._is_idle = False
                    job, self._handed = self._handed, None
            if job is None:
                return
            self._process(job)
