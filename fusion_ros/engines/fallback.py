# SPDX-License-Identifier: Apache-2.0
"""An engine that fails costs speed, not the robot's eyes: the next one takes over, and says so."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np

from fusion_ros.engines.engine import Engine, EngineDescription, EngineError

FIRST_RETRY_S = 10.0
LONGEST_RETRY_S = 600.0
CLOSE_WAIT_S = 1.0
"""How long `close` waits for an engine that is being tried again."""


class FallbackEngine:
    """Runs the first of several engines; when it fails the next one does the work.

    The pair on which an engine failed is not lost: the next engine gets it. A better engine is
    tried again in the background, after 10 s, then after twice as long each time it fails again,
    up to 10 min. It takes over between two pairs.

    Args:
        makers: each makes an engine, best first. The first is made at once and must succeed; the
            others are made when they are needed.
        tell: takes a line of text for people whenever the engine changes, and whether it is good
            news.
        clock_s: a monotonic clock in seconds.
        retry_in_background: False makes a retry run inside `infer`, for tests.

    Raises:
        EngineError: the first engine cannot be made. A fallback at start would hide a fault.
    """

    def __init__(
        self,
        makers: Sequence[Callable[[], Engine]],
        *,
        tell: Callable[[str, bool], object],
        clock_s: Callable[[], float] = time.monotonic,
        retry_in_background: bool = True,
    ) -> None:
        self._makers = list(makers)
        self._tell = tell
        self._clock_s = clock_s
        self._in_background = retry_in_background
        self._index = 0
        self._engine = self._makers[0]()
        self._size: tuple[int, int] | None = None
        self._retry_s = FIRST_RETRY_S
        self._retry_at_s = 0.0
        self._lock = threading.Lock()
        self._retrying: threading.Thread | None = None
        self._ready: tuple[int, Engine] | None = None
        self._closed = False
        self.is_changing = False
        """Whether an `infer` is under way that makes the next engine, which takes seconds."""

    @property
    def visible_channels(self) -> int:
        """See `Engine`."""
        return self._engine.visible_channels

    @property
    def output_channels(self) -> int:
        """See `Engine`."""
        return self._engine.output_channels

    @property
    def running(self) -> Engine:
        """The engine in use."""
        return self._engine

    @property
    def is_fallback(self) -> bool:
        """Whether something else than the first engine runs."""
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
            EngineError: no engine is left that works; the next call tries them again.
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
                    raise  # given up meanwhile: another thread runs the next engine
                self.is_changing = True
                failures.append(f"{engine.describe().name}: {error}")
                if not self._take_next_engine(failures):
                    raise EngineError("no engine works: " + "; ".join(failures)) from error

    def describe(self) -> EngineDescription:
        """What runs now."""
        return self._engine.describe()

    def give_up_current(self) -> bool:
        """Leave the engine in use, whose call does not return: `infer`, called by another thread,
        takes the next one. The engine is not closed, since that call may still use it.

        Returns:
            False, without any change, where there is no other engine.
        """
        if self._index + 1 >= len(self._makers):
            return False
        self._engine = _GivenUp(self._engine)
        return True

    def close(self) -> None:
        """See `Engine.close`; waits a little for a retry that is under way."""
        self._closed = True
        if self._retrying is not None:
            self._retrying.join(CLOSE_WAIT_S)
            if self._retrying.is_alive():
                self._tell(
                    "an engine that was tried again has not returned; it is left open", False
                )
        self._engine.close()
        if self._ready is not None:
            self._ready[1].close()
            self._ready = None

    def _take_next_engine(self, failures: list[str]) -> bool:
        """Make the next engine that can be made; False where there is none."""
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
            self._tell(
                f"engine {old.name} on {old.device} failed ({failures[-1]}); {new.name} on "
                f"{new.device} takes over, {old.name} is tried again in {self._retry_s:.0f} s",
                False,
            )
            return True
        return False

    def _take_better_engine(self) -> None:
        """Swap in what a retry made; start a retry that is due."""
        with self._lock:
            ready, self._ready = self._ready, None
        if ready is not None:
            index, engine = ready
            _close_quietly(self._engine)
            self._engine, self._index = engine, index
            self._retry_s = FIRST_RETRY_S if index == 0 else self._retry_s
            new = engine.describe()
            self._tell(f"engine {new.name} on {new.device} works again and took over", True)
        busy = self._retrying is not None and self._retrying.is_alive()
        if self._index == 0 or busy or self._clock_s() < self._retry_at_s:
            return
        self._retry_s = min(2 * self._retry_s, LONGEST_RETRY_S)
        self._retry_at_s = self._clock_s() + self._retry_s
        self._retrying = threading.Thread(target=self._retry, args=(self._index,), daemon=True)
        self._retrying.start()
        if not self._in_background:
            self._retrying.join()
            self._take_ready_now()

    def _take_ready_now(self) -> None:
        if self._ready is not None:
            self._take_better_engine()

    def _retry(self, below: int) -> None:
        """Make the best engine that works, of those better than the one that runs; prove it."""
        for index, make in enumerate(self._makers[:below]):
            if self._closed:
                return
            try:
                engine = make()
            except EngineError:
                continue
            try:
                # An engine that builds may still fail when it runs: let it run before it serves.
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


class _GivenUp:
    """In place of an engine that does not return: fails, so that the next one is taken."""

    def __init__(self, engine: Engine) -> None:
        self.visible_channels = engine.visible_channels
        self.output_channels = engine.output_channels
        self.notes = getattr(engine, "notes", {})
        self._description = engine.describe()

    def warm_up(self, height: int, width: int) -> None:
        raise EngineError("it did not return within its deadline")

    def infer(
        self, visible: np.ndarray, thermal: np.ndarray, *, out: np.ndarray | None = None
    ) -> np.ndarray:
        raise EngineError("it did not return within its deadline")

    def describe(self) -> EngineDescription:
        return self._description

    def close(self) -> None:
        """Nothing: the engine itself is still in use."""


def _close_quietly(engine: Engine) -> None:
    """A device that was lost may fail to close, too; that is known by then."""
    with contextlib.suppress(EngineError):
        engine.close()
