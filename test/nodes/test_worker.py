# SPDX-License-Identifier: Apache-2.0
"""The worker: one job in work, one that waits, the newest wins."""

from __future__ import annotations

import threading

from fusion_ros.nodes.fuse.worker import NewestWorker

PATIENCE_S = 20.0  # for failures only: nothing below waits this long when it works


class Workshop:
    """A worker whose jobs are done when the test says so."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.superseded: list[int] = []
        self._entered = threading.Semaphore(0)
        self._leave = threading.Semaphore(0)
        self.worker: NewestWorker[int] = NewestWorker(self._process, self.superseded.append)
        self.worker.start()

    def _process(self, job: int) -> None:
        self.begun.append(job)
        self._entered.release()
        assert self._leave.acquire(timeout=PATIENCE_S)

    def wait_until_busy(self) -> None:
        assert self._entered.acquire(timeout=PATIENCE_S)

    def finish_one(self) -> None:
        self._leave.release()


def test_jobs_that_find_the_worker_idle_are_all_done():
    shop = Workshop()
    for job in (1, 2, 3):
        shop.worker.submit(job)
        shop.wait_until_busy()
        shop.finish_one()
    assert shop.worker.stop(PATIENCE_S)
    assert shop.begun == [1, 2, 3]
    assert shop.superseded == []


def test_a_job_handed_to_an_idle_worker_is_processed_though_newer_ones_follow_at_once():
    shop = Workshop()
    with shop.worker._changed:  # the worker's thread cannot take the first job meanwhile
        while not shop.worker._is_idle:
            shop.worker._changed.wait(0.001)
        for job in (1, 2, 3):
            shop.worker.submit(job)
    assert shop.superseded == [2]
    for _ in range(2):
        shop.wait_until_busy()
        shop.finish_one()
    assert shop.worker.stop(PATIENCE_S)
    assert shop.begun == [1, 3]


def test_while_it_is_busy_only_the_newest_waits():
    shop = Workshop()
    shop.worker.submit(1)
    shop.wait_until_busy()
    for job in (2, 3, 4):
        shop.worker.submit(job)
    assert shop.superseded == [2, 3]
    shop.finish_one()
    shop.wait_until_busy()
    shop.finish_one()
    assert shop.worker.stop(PATIENCE_S)
    assert shop.begun == [1, 4]


def test_stop_finishes_the_job_in_work_and_gives_up_the_one_that_waits():
    shop = Workshop()
    shop.worker.submit(1)
    shop.wait_until_busy()
    shop.worker.submit(2)
    shop.finish_one()
    # Job 2 may have begun before the stop; then it is finished too.
    shop.finish_one()
    assert shop.worker.stop(PATIENCE_S)
    assert sorted(shop.begun + shop.superseded) == [1, 2]


def test_a_job_after_stop_is_superseded():
    shop = Workshop()
    assert shop.worker.stop(PATIENCE_S)
    shop.worker.submit(1)
    assert shop.superseded == [1]
    assert shop.begun == []


def test_under_a_storm_every_job_is_either_done_or_superseded():
    done: list[int] = []
    superseded: list[int] = []
    lock = threading.Lock()

    def give_up(job: int) -> None:
        with lock:
            superseded.append(job)

    worker: NewestWorker[int] = NewestWorker(done.append, give_up)
    worker.start()
    senders = [
        threading.Thread(target=lambda base=base: [worker.submit(base + n) for n in range(2000)])
        for base in (0, 10_000)
    ]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert worker.stop(PATIENCE_S)
    assert len(done) + len(superseded) == 4000
    assert not set(done) & set(superseded)
