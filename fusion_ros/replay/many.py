# SPDX-License-Identifier: Apache-2.0
"""Many recordings: in processes of this machine, or on the machines of a Ray cluster.

The same job runs in either, so the results are the same but for times.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

from fusion_ros.replay.job import Job, JobResult, run_job


def run_side_by_side(jobs: Sequence[Job], workers: int) -> list[JobResult]:
    """Run jobs in so many processes; results in the order of the jobs.

    A fresh interpreter for each worker: threads of torch or OpenVINO do not survive a fork.
    """
    if workers < 1:
        raise ValueError(f"--jobs is {workers}, allowed is 1 or more")
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=context) as pool:
        futures = [pool.submit(run_job, job) for job in jobs]
        try:
            return [_result(job, future) for job, future in zip(jobs, futures, strict=True)]
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            raise


def run_on_ray(jobs: Sequence[Job], address: str) -> list[JobResult]:
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
        raise RuntimeError("--ray needs the package ray: pip install 'fusion_ros[ray]'") from error
    # A Ray that we start for ourselves reports to nobody.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray.init(address=address, ignore_reinit_error=True, log_to_driver=False)
    except ConnectionError as error:
        raise RuntimeError(f"--ray {address}: no Ray answers there ({error})") from error
    try:
        task = ray.remote(run_job)
        waiting = [task.remote(job) for job in jobs]
        results = []
        for job, future in zip(jobs, waiting, strict=True):
            try:
                results.append(ray.get(future))
            except ray.exceptions.RayError as error:
                results.append(JobResult(job.recording, job.out, error=f"on Ray: {error}"))
        return results
    finally:
        ray.shutdown()


def _result(job: Job, future) -> JobResult:
    try:
        return future.result()
    except Exception as error:  # a worker that died costs its recording, not the others
        text = f"{type(error).__name__}: {error}"
        return JobResult(job.recording, job.out, error=text)
