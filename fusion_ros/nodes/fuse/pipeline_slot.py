# SPDX-License-Identifier: Apache-2.0
"""The pipeline in use, and the one that takes its place between two jobs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fusion_ros.pipeline import FusionPipeline
    from fusion_ros.registration.warp import ThermalRegistration


class PipelineSlot:
    """Holds the pipeline of a worker's thread; any thread may ask for a change.

    Changes are made by `for_next_job` alone, so a job keeps what it began with.

    Args:
        pipeline: the first one.
        warn: takes a line of text where an old pipeline could not be given back.
    """

    def __init__(self, pipeline: FusionPipeline, warn: Callable[[str], object]) -> None:
        self._warn = warn
        self._lock = threading.Lock()
        self._current = pipeline
        self._next: FusionPipeline | None = None
        self._replaced: list[Callable[[], None]] = []
        self._outdated = False

    def replace(self, pipeline: FusionPipeline, *, done_with_old: Callable[[], None]) -> None:
        """Use another pipeline from the next job on.

        `done_with_old` is called when no job uses the old one any more, in the worker's thread.
        """
        with self._lock:
            self._next = pipeline
            self._replaced.append(done_with_old)

    def register(self, registration: ThermalRegistration) -> None:
        """Bring thermal frames onto the visible grid in another way from the next job on."""
        with self._lock:
            for pipeline in (self._current, self._next):
                if pipeline is not None:
                    pipeline.registration = registration

    @property
    def current(self) -> FusionPipeline:
        """The pipeline that jobs use."""
        return self._current

    @property
    def has_next(self) -> bool:
        """Whether another pipeline waits to take over."""
        return self._next is not None

    def leave_old_open(self) -> None:
        """Do not close the pipeline that is being replaced: its engine has not returned."""
        with self._lock:
            self._replaced.clear()

    @property
    def is_registered(self) -> bool:
        """Whether it is known where thermal pictures lie; false while a calibration is awaited."""
        return self._current.registration.is_ready

    def forget(self) -> None:
        """What the pipeline learned from earlier frames belongs to another time line."""
        self._outdated = True

    def for_next_job(self) -> FusionPipeline:
        """The pipeline to use now; by the worker's thread, or when that has ended."""
        with self._lock:
            if self._next is not None:
                self._current, self._next = self._next, None
            replaced, self._replaced = self._replaced, []
        for done_with_old in replaced:  # more than one where no job came between two reloads
            try:
                done_with_old()
            except Exception as error:  # a device that is gone; what runs now needs it no more
                self._warn(f"what ran before was not given back: {type(error).__name__}: {error}")
        if self._outdated:
            self._outdated = False
            self._current.reset()
        return self._current
