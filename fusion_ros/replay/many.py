# SPDX-License-Identifier: Apache-2.0
"""Many recordings: one by one, in processes of this machine, or on the machines of a Ray cluster.

The same job runs in each of these, so the results are the same but for times. All give a result as
soon as it is there; after a Ctrl-C what was begun is given as far as it came, the rest as an error.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import Any

from fusion_ros.engines.cpu import keep_freed_memory
from fusion_ros.replay.job import Job, JobResult, run_job

_NOT_BEGUN = "stopped before it was begun"


def run_one_by_one(jobs: Sequence[Job]) -> Iterator[JobResult]:
    """Run jobs in this process."""
    stopped = False
    for job in jobs:
        if stopped:
            yield JobResult(job.recording, job.out, error=_NOT_BEGUN)
            continue
        result = run_job(job)
        stopped = result.stopped
        yield result


def run_side_by_side(jobs: Sequence[Job], workers: int) -> Iterator[JobResult]:
    """Run jobs in so many processes; results in the order in which they end.

    A fresh interpreter for each worker: threads of torch or OpenVINO do not survive a fork.
    """
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    with ProcessPoolExecutor(
        min(workers, len(jobs)), mp_context=context, initializer=_begin, initargs=(stop,)
    ) as pool:
        # Workers inherit this: a Ctrl-C reaches them through `stop`, between two messages.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            running = {pool.submit(_run_in_worker, job): job for job in jobs}
        finally:
            signal.signal(signal.SIGINT, before)
        try:
            while running:
                try:
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                except KeyboardInterrupt:
                    stop.set()
                    for future in running:
                        future.cancel()
                    continue
                for future in done:
                    yield _result(running.pop(future), future)
        finally:
            stop.set()


def run_on_ray(jobs: Sequence[Job], address: str) -> Iterator[JobResult]:
    """Run jobs on Ray; recordings and output folders must be on a file system that all share.

    Args:
        jobs: one task each.
        address: of a cluster ("ray://host:10001", "auto"), or "local" for one on this machine.

    Raises:
        RuntimeError: Ray is not installed, or does not answer.
    """
    try:
        import ray
    except ImportError as error:
        raise RuntimeError("--ray needs the package ray: pip install ray") from error
    # A Ray that we start for ourselves reports to nobody.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray.init(address=address, log_to_driver=False)
    except ConnectionError as error:
        raise RuntimeError(f"--ray {address}: no Ray answers there ({error})") from error
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


_stop: Any = None


def _begin(stop: Any) -> None:
    global _stop
    _stop = stop
    keep_freed_memory()


def _run_in_worker(job: Job) -> JobResult:
    if _stop.is_set():  # it was handed out ahead, and could not be cancelled any more
        return JobResult(job.recording, job.out, error=_NOT_BEGUN)
    return run_job(job, _stop.is_set)


def _run_in_folder(job: Job, folder: str) -> JobResult:
    os.chdir(folder)  # paths were given relative to it
    return run_job(job)


def _result(job: Job, future: Future[JobResult]) -> JobResult:
    if future.cancelled():
        return JobResult(job.recording, job.out, error=_NOT_BEGUN)
    try:
        return future.result()
    except Exception as error:  # a worker that died costs its recording, not the others
        text = f"{type(error).__name__}: {error}"
        return JobResult(job.recording, job.out, error=text)


def _from_ray(ray: Any, job: Job, reference: Any) -> JobResult:
    try:
        return ray.get(reference)
    except ray.exceptions.TaskCancelledError:
        return JobResult(job.recording, job.out, error="stopped on Ray")
    except ray.exceptions.RayError as error:
        return JobResult(job.recording, job.out, error=f"on Ray: {error}")
