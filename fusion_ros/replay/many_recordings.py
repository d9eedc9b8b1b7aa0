# SPDX-License-Identifier: Apache-2.0
"""Replay of many recordings, each in a process of its own.

After Ctrl-C, jobs that were started yield a partial result, and the others an error.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from fusion_ros.engines.process import configure_process
from fusion_ros.files.folders import discard, remove_abandoned
from fusion_ros.replay.job import Job, JobResult, run_job


def run_side_by_side(jobs: Sequence[Job], workers: int) -> Iterator[JobResult]:
    """Run up to `workers` jobs at a time; yield results in the order of completion.

    Processes are spawned, since threads of torch and OpenVINO do not survive a fork. One that
    crashes or is killed fails only its own recording.
    """
    stop = multiprocessing.get_context("spawn").Event()
    waiting = deque(jobs)
    running: dict[Any, tuple[BaseProcess, Job]] = {}
    try:
        while waiting or running:
            try:
                while waiting and len(running) < workers:
                    job = waiting.popleft()
                    connection, process = _start(job, stop)
                    running[connection] = (process, job)
                ready = wait(list(running))
            except KeyboardInterrupt:
                stop.set()
                while waiting:
                    yield JobResult(waiting.popleft(), error="stopped before it was started")
                continue
            for connection in ready:
                yield _result(connection, *running.pop(connection))
    finally:
        stop.set()
        for connection, (process, _) in running.items():
            connection.close()  # else a process that sends a large result would never end
            process.join()


def _start(job: Job, stop: Any) -> tuple[Any, BaseProcess]:
    context = multiprocessing.get_context("spawn")
    connection, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, job, stop), name="replay")
    # The process inherits this and stops after Ctrl-C through `stop`, between two messages.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process.start()
    finally:
        signal.signal(signal.SIGINT, before)
    theirs.close()
    return connection, process


def _work(connection: Connection, job: Job, stop: Any) -> None:
    configure_process()
    result = run_job(job, stop.is_set)
    try:
        connection.send(result)
    except OSError:  # the receiver has ended
        if result.staged:
            discard(Path(result.staged))


def _result(connection: Any, process: BaseProcess, job: Job) -> JobResult:
    """Return the result of a process that has sent one or has ended."""
    try:
        return connection.recv()
    except (EOFError, OSError):
        remove_abandoned(Path(job.out))
        process.join()
        code = process.exitcode or 0
        ending = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        hint = ", possibly for lack of memory" if code == -signal.SIGKILL else ""
        return JobResult(job, error=f"its process ended with {ending}{hint}")
    finally:
        connection.close()
        process.join()
