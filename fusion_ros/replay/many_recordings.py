# SPDX-License-Identifier: Apache-2.0
"""Replay of many recordings in worker processes or on a Ray cluster.

Both run the same jobs and yield each result when it is complete. After Ctrl-C, jobs that were
started yield a partial result, and the others an error.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext
from pathlib import Path
from typing import Any

from fusion_ros.engines.process import configure_process
from fusion_ros.files.folders import discard, remove_abandoned
from fusion_ros.outside_text import error_line
from fusion_ros.replay.job import Job, JobResult, run_job

_NOT_BEGUN = "stopped before it was started"


def run_side_by_side(jobs: Sequence[Job], workers: int) -> Iterator[JobResult]:
    """Run jobs in worker processes; yield results in the order of completion.

    Workers are spawned, since threads of torch and OpenVINO do not survive a fork. A worker that
    crashes or is killed fails only its own recording.
    """
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    waiting = deque(jobs)
    idle: list[_Worker] = []
    running: dict[Any, tuple[_Worker, Job]] = {}
    try:
        while waiting or running:
            try:
                while waiting and len(running) < workers:
                    worker = idle.pop() if idle else _Worker(context, stop)
                    job = waiting.popleft()
                    running[worker.connection] = (worker, job)
                    worker.begin(job)
                ready = wait(list(running))
            except KeyboardInterrupt:
                stop.set()
                while waiting:
                    job = waiting.popleft()
                    yield JobResult(job.recording, job.out, error=_NOT_BEGUN)
                continue
            for connection in ready:
                worker, job = running.pop(connection)
                result = worker.result()
                if result is None:
                    remove_abandoned(Path(job.out))
                    result = JobResult(job.recording, job.out, error=worker.ending())
                else:
                    idle.append(worker)
                yield result
    finally:
        stop.set()
        for worker in [*idle, *(worker for worker, _ in running.values())]:
            worker.close()


class _Worker:
    """A process that runs jobs one after another."""

    def __init__(self, context: SpawnContext, stop: Any) -> None:
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, stop), name="replay")
        # The worker inherits this and stops after Ctrl-C through `stop`, between two messages.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            self._process.start()
        finally:
            signal.signal(signal.SIGINT, before)
        theirs.close()

    def begin(self, job: Job) -> None:
        with contextlib.suppress(OSError):  # the process has ended; `result` reports it
            self.connection.send(job)

    def result(self) -> JobResult | None:
        """Return the next result, or None if the process has ended without one."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            return None

    def ending(self) -> str:
        """Return a description of the end of the process."""
        self.connection.close()
        self._process.join()
        code = self._process.exitcode
        if code == -signal.SIGKILL:
            return "its process was killed (SIGKILL), possibly for lack of memory"
        if code is not None and code < 0:
            return f"its process crashed ({signal.Signals(-code).name})"
        return f"its process ended with exit code {code}"

    def close(self) -> None:
        """Wait until the process has ended after its job."""
        self.connection.close()
        self._process.join()


def _work(connection: Connection, stop: Any) -> None:
    configure_process()
    while True:
        try:
            job = connection.recv()
        except EOFError:
            return
        if stop.is_set():
            connection.send(JobResult(job.recording, job.out, error=_NOT_BEGUN))
            continue
        result = run_job(job, stop.is_set)
        try:
            connection.send(result)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            if result.staged:
                discard(Path(result.staged))
            if isinstance(error, OSError):  # the receiver has ended
                return
            text = f"its result cannot be sent: {error_line(error)}"
            connection.send(JobResult(job.recording, job.out, error=text))


def run_on_ray(jobs: Sequence[Job], address: str) -> Iterator[JobResult]:
    """Run jobs on Ray; recordings and output folders must be on a shared file system.

    Args:
        jobs: jobs, one task each.
        address: address of a cluster ("ray://host:10001", "auto"), or "local".

    Raises:
        RuntimeError: Ray is not installed, or there is no cluster at the address.
    """
    try:
        import ray
    except ImportError as error:
        raise RuntimeError("--ray needs the package ray: pip install ray") from error
    # A local Ray must not send usage statistics.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray.init(address=address, log_to_driver=False)
    except ConnectionError as error:
        raise RuntimeError(
            f"--ray {address}: there is no Ray cluster at this address ({error})"
        ) from error
    try:
        task = ray.remote(_run_in_folder)
        running = {task.remote(job, os.getcwd()): job for job in jobs}
        while running:
            try:
                done, _ = ray.wait(list(running))
            except KeyboardInterrupt:
                for reference in running:
                    ray.cancel(reference)
                continue
            for reference in done:
                yield _from_ray(ray, running.pop(reference), reference)
    finally:
        ray.shutdown()


def _run_in_folder(job: Job, folder: str) -> JobResult:
    os.chdir(folder)  # paths are relative to it
    return run_job(job)


def _from_ray(ray: Any, job: Job, reference: Any) -> JobResult:
    try:
        return ray.get(reference)
    except ray.exceptions.TaskCancelledError:
        return JobResult(job.recording, job.out, error="stopped on Ray")
    except ray.exceptions.RayError as error:
        return JobResult(job.recording, job.out, error=f"on Ray: {error}")
