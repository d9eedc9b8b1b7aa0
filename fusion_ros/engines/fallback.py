# SPDX-License-Identifier: Apache-2.0
"""Fallback between engines: if one fails, the next one takes over and the change is reported."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np

from fusion_ros.engines.engine import Engine, EngineDescription, EngineError

FIRST_RETRY_S = 10.0
LONGEST_RETRY_S = 600.0
#: Time that `close` waits for a retry in progress.
CLOSE_WAIT_S = 1.0


class FallbackEngine:
    """Run the first of several engines, and the next one if it fails.

    The pair on which an engine failed is passed to the next engine. A better engine is retried in
    the background after 10 s; the delay doubles with each failure, up to 10 min. It takes over
    between two pairs.

    Args:
        makers: functions that create an engine, best first; they are called on demand.
        first: result of the first function; None: it is called at once and must succeed.
        notify: function of a message and its kind (True: recovery), called at each change.
        clock_s: a monotonic clock in seconds.

    Raises:
        EngineError: the first engine cannot be created. A fallback at start would hide a fault.
    """

    def __init__(
        self,
        makers: Sequence[Callable[[], Engine]],
        *,
        first: Engine | None = None,
        notify: Callable[[str, bool], object],
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._makers = list(makers)
        self._notify = notify
        self._clock_s = clock_s
        self._index = 0
        self._engine = self._makers[0]() if first is None else first
        self._size: tuple[int, int] | None = None
        self._retry_s = FIRST_RETRY_S
        self._retry_at_s = 0.0
        self._lock = threading.Lock()
        self._retrying: threading.Thread | None = None
        self._ready: tuple[int, Engine] | None = None
        self._closed = False
        #: Whether an `infer` in progress creates the next engine, which takes seconds.
        self.is_changing = False

    @property
    def visible_channels(self) -> int:
        """See `Engine`."""
        return self._engine.visible_channels

    @property
    def output_channels(self) -> int:
        """See `Engine`."""
        return self._engine.output_channels

    @property
    def notes(self) -> dict[str, str]:
        """See `Engine`."""
        return self._engine.notes

    @property
    def running(self) -> Engine:
        """Engine in use."""
        return self._engine

    @property
    def is_fallback(self) -> bool:
        """Whether an engine other than the first is in use."""
        return self._index > 0

    def warm_up(self, height: int, width: int) -> None:
        """See `Engine.warm_up`."""
        self._size = (height, width)
        self._engine.warm_up(height, width)

    def infer(
        self, visible: np.ndarray, thermal: np.ndarray, *, out: np.ndarray | None = None
    ) -> np.ndarray:
        """See `Engine.infer`.

        Raises:
            EngineError: all engines failed; the next call tries them again.
        """
        self._size = (thermal.shape[0], thermal.shape[1])
        self._take_better_engine()
        try:
            return self._infer(visible, thermal, out)
        finally:
            self.is_changing = False

    def _infer(
        self, visible: np.ndarray, thermal: np.ndarray, out: np.ndarray | None
    ) -> np.ndarray:
        failures: list[str] = []
        while True:
            engine = self._engine
            try:
                return engine.infer(visible, thermal, out=out)
            except EngineError as error:
                if engine is not self._engine:
                    raise  # abandoned meanwhile: another thread runs the next engine
                self.is_changing = True
                failures.append(f"{engine.describe().name}: {error}")
                if not self._take_next_engine(failures):
                    raise EngineError("no engine works: " + "; ".join(failures)) from error

    def describe(self) -> EngineDescription:
        """Describe the engine in use."""
        return self._engine.describe()

    def give_up_current(self) -> bool:
        """Abandon the engine in use, whose call does not return.

        The next `infer`, called by another thread, uses the next engine. The abandoned engine is
        not closed, since the hanging call may still use it.

        Returns:
            False, without any change, if there is no other engine.
        """
        if self._index + 1 >= len(self._makers):
            return False
        self._engine = _AbandonedEngine(self._engine)
        return True

    def close(self) -> None:
        """See `Engine.close`; waits up to `CLOSE_WAIT_S` for a retry in progress."""
        self._closed = True
        if self._retrying is not None:
            self._retrying.join(CLOSE_WAIT_S)
            if self._retrying.is_alive():
                self._notify("an engine retry has not returned; the engine is left open", False)
        self._engine.close()
        if self._ready is not None:
            self._ready[1].close()
            self._ready = None

    def _take_next_engine(self, failures: list[str]) -> bool:
        """Switch to the next engine that can be created; return False if there is none."""
        for index in range(self._index + 1, len(self._makers)):
            try:
                engine = self._makers[index]()
            except EngineError as error:
                failures.append(str(error))
                continue
            old = self._engine.describe()
            _close_quietly(self._engine)
            self._engine, self._index = engine, index
            self._retry_at_s = self._clock_s() + self._retry_s
            new = engine.describe()
            self._notify(
                f"engine {old.name} on {old.device} failed ({failures[-1]}); {new.name} on "
                f"{new.device} takes over, {old.name} is retried in {self._retry_s:.0f} s",
                False,
            )
            return True
        return False

    def _take_better_engine(self) -> None:
        """Switch to an engine that a retry created; start a retry that is due."""
        with self._lock:
            ready, self._ready = self._ready, None
        if ready is not None:
            index, engine = ready
            _close_quietly(self._engine)
            self._engine, self._index = engine, index
            self._retry_s = FIRST_RETRY_S if index == 0 else self._retry_s
            new = engine.describe()
            self._notify(f"engine {new.name} on {new.device} works again and took over", True)
        busy = self._retrying is not None and self._retrying.is_alive()
        if self._index == 0 or busy or self._clock_s() < self._retry_at_s:
            return
        self._retry_s = min(2 * self._retry_s, LONGEST_RETRY_S)
        self._retry_at_s = self._clock_s() + self._retry_s
        self._retrying = threading.Thread(target=self._retry, args=(self._index,), daemon=True)
        self._retrying.start()

    def _retry(self, below: int) -> None:
        """Create and test the best working engine among those better than the engine in use."""
        for index, make in enumerate(self._makers[:below]):
            if self._closed:
                return
            try:
                engine = make()
            except EngineError:
                continue
            try:
                # An engine that can be created may still fail to run.
                if self._size is not None:
                    engine.warm_up(*self._size)
            except EngineError:
                _close_quietly(engine)
                continue
            with self._lock:
                late = self._closed
                if not late:
                    self._ready = (index, engine)
            if late:
                _close_quietly(engine)
            return


_MISSED = "it did not return within its deadline"


class _AbandonedEngine:
    """Placeholder of a hanging engine; it fails at once, so that the next engine is used."""

    def __init__(self, engine: Engine) -> None:
        self.visible_channels = engine.visible_channels
        self.output_channels = engine.output_channels
        self.notes = getattr(engine, "notes", {})
        self._description = engine.describe()

    def warm_up(self, height: int, width: int) -> None:
        raise EngineError(_MISSED)

    def infer(
        self, visible: np.ndarray, thermal: np.ndarray, *, out: np.ndarray | None = None
    ) -> np.ndarray:
        raise EngineError(_MISSED)

    def describe(self) -> EngineDescription:
        return self._description

    def close(self) -> None:
        """Do nothing: the hanging call still uses the engine."""


def _close_quietly(engine: Engine) -> None:
    """Close an engine whose failure was already reported."""
    with contextlib.suppress(EngineError):
        engine.close()
