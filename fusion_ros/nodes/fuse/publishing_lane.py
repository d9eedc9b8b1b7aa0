# SPDX-License-Identifier: Apache-2.0
"""A thread for each output, so that a stalled subscriber delays no other output."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

from fusion_ros.nodes.fuse.worker import NewestWorker

Item = TypeVar("Item")

BLOCKED_S = 1.0
"""A publish that takes longer than this is reported."""
STOP_S = 0.5
"""Time limit of `stop` for a running publish call."""


class PublishingLane(Generic[Item]):
    """Publishes the newest item; older waiting ones are dropped and counted.

    Args:
        topic: for reports.
        publish: publishes one item, in the lane's thread.
        can_publish: whether the middleware still runs; later failures are not reported.
        dropped: called with each item that is not published, in the thread that caused it.
    """

    def __init__(
        self,
        topic: str,
        publish: Callable[[Item], object],
        warn: Callable[[str], object],
        *,
        can_publish: Callable[[], bool] = lambda: True,
        dropped: Callable[[Item], object] = lambda item: None,
    ) -> None:
        self.topic = topic
        self.unpublished = 0
        """Items that were not published since the lane was made."""
        self._publish = publish
        self._warn = warn
        self._can_publish = can_publish
        self._dropped = dropped
        self._has_warned = self._is_stopping = False
        self._current: tuple[Item, float] | None = None
        self._worker: NewestWorker[Item] = NewestWorker(
            self._process, self._drop, name=f"publish {topic}"[:48]
        )

    @property
    def blocked_s(self) -> float:
        """Duration of the running publish call if it exceeds `BLOCKED_S`, else 0."""
        current = self._current
        seconds = 0.0 if current is None else time.monotonic() - current[1]
        return seconds if seconds > BLOCKED_S else 0.0

    def start(self) -> None:
        """Start the thread."""
        self._worker.start()

    def submit(self, item: Item, *, wait_s: float = 0.0) -> None:
        """Publish this item next; it replaces a waiting one.

        Wait for its publishing at most `wait_s`, and not at all while an earlier one runs.
        """
        if self._worker.submit(item) and wait_s:
            self._worker.wait_until_idle(wait_s)

    def stop(self, timeout_s: float = STOP_S) -> bool:
        """Publish the waiting item and end the thread. False where it is left behind."""
        self._is_stopping = True
        if self._worker.stop(timeout_s, finish_waiting=True):
            return True
        current = self._current
        if current is not None:
            self._count(current[0])
        self._warn(
            f"{self.topic}: a publish call has not returned; its thread is left behind. A "
            "subscriber that was stopped or killed blocks the middleware"
        )
        return False

    def _process(self, item: Item) -> None:
        self._current = (item, time.monotonic())
        try:
            self._publish(item)
        except Exception as error:
            self._fail(item, error)
        finally:
            self._current = None

    def _fail(self, item: Item, error: Exception) -> None:
        self._dropped(item)
        if not self._can_publish():
            return
        self.unpublished += 1
        if not self._has_warned:
            self._has_warned = True
            self._warn(
                f"{self.topic}: not published: {type(error).__name__}: {error} (further ones are "
                "counted, not logged)"
            )

    def _drop(self, item: Item) -> None:
        if self._is_stopping:
            self._dropped(item)
        else:
            self._count(item)

    def _count(self, item: Item) -> None:
        self.unpublished += 1
        self._dropped(item)
