# SPDX-License-Identifier: Apache-2.0
"""A worker thread that processes the newest job.

While it is busy, at most one job waits, and a newer one replaces it. So the age of a result is
limited to one running and one waiting job under any load.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from fusion_ros.nodes.runtime.stopping import register_abandoned

Job = TypeVar("Job")


class NewestWorker(Generic[Job]):
    """Runs `process` on the newest job submitted; the thread starts with `start`.

    Args:
        process: called in the worker's thread, one job at a time. It must not raise: an exception
            ends the worker and is raised again by `stop`.
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
        self._failure: BaseException | None = None
        # A daemon, so that a hung device does not prevent the end of the process.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Submit a job. An idle worker processes it; for a busy one it replaces a waiting job.

        After `stop` it is superseded.
        """
        with self._changed:
            refused = self._stopping or self._failure is not None
            old = None
            if refused:
                old = job
            elif self._is_idle:
                self._handed, self._is_idle = job, False
                self._changed.notify()
            else:
                old, self._waiting = self._waiting, job
        if old is not None:
            self._superseded(old)

    def stop(self, timeout_s: float | None = None) -> bool:
        """Finish the running job, supersede a waiting one, end the thread.

        Returns:
            Whether the thread ended within `timeout_s`.

        Raises:
            BaseException: raised by `process`.
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
        """Leave a worker behind whose job does not end: its thread takes no further job.

        The process must not wait for it or close resources that it may use; see `stopping`.
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
                job, self._waiting = self._waiting, None
                if job is None:
                    self._is_idle = True
                    self._changed.wait_for(lambda: not self._is_idle or self._stopping)
                    self._is_idle = False
                    job, self._handed = self._handed, None
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
