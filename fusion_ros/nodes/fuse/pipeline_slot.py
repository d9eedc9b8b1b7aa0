# SPDX-License-Identifier: Apache-2.0
"""The pipeline in use, which can be replaced between two jobs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fusion_ros.pipeline import FusionPipeline
    from fusion_ros.registration.warp import ThermalRegistration


class PipelineSlot:
    """Holds the pipeline of a worker's thread; any thread may request a change.

    Only `for_next_job` makes changes, so a job uses one pipeline throughout.
    """

    def __init__(self, pipeline: FusionPipeline, warn: Callable[[str], object]) -> None:
        self._warn = warn
        self._lock = threading.Lock()
        self._current = pipeline
        self._next: FusionPipeline | None = None
        self._replaced: list[Callable[[], None]] = []
        self._needs_reset = False

    def replace(self, pipeline: FusionPipeline, *, done_with_old: Callable[[], None]) -> None:
        """Use another pipeline from the next job on.

        `done_with_old` is called when no job uses the old one any more, in the worker's thread.
        """
        with self._lock:
            self._next = pipeline
            self._replaced.append(done_with_old)

    def register(self, registration: ThermalRegistration) -> None:
        """Use another registration from the next job on."""
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
        """Do not close the replaced pipeline, whose engine has not returned."""
        with self._lock:
            self._replaced.clear()

    @property
    def is_registered(self) -> bool:
        """Whether thermal frames can be registered; False before a live calibration."""
        return self._current.registration.is_ready

    def reset_before_next_job(self) -> None:
        """Reset the pipeline's memory of earlier frames before the next job."""
        self._needs_reset = True

    def for_next_job(self) -> FusionPipeline:
        """Return the pipeline for the next job; called in the worker's thread, or after its end."""
        with self._lock:
            if self._next is not None:
                self._current, self._next = self._next, None
            replaced, self._replaced = self._replaced, []
        for done_with_old in replaced:  # more than one where no job came between two reloads
            try:
                done_with_old()
            except Exception as error:  # for example a device that was removed
                self._warn(f"closing the previous pipeline failed: {type(error).__name__}: {error}")
        if self._needs_reset:
            self._needs_reset = False
            self._current.reset()
        return self._current
