# SPDX-License-Identifier: Apache-2.0
"""Progress of a run: step, loss terms, speed and time left."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping

from tqdm import tqdm

#: Seconds between two lines in a log file.
LOG_EVERY_S = 30.0


class ProgressLine:
    """One live line on a terminal; elsewhere a line at the start and then every `LOG_EVERY_S`."""

    def __init__(self, step: int, steps: int, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._live = sys.stderr.isatty() and not quiet
        self._sink = None if self._live else open(os.devnull, "w")  # noqa: SIM115 -- see close()
        self._bar = tqdm(total=steps, initial=step, unit="step", file=self._sink, ncols=None)
        self._next = time.monotonic()

    def update(self, terms: Mapping[str, float]) -> None:
        """Count a step; ``terms`` are shown until others arrive."""
        if terms:
            self._bar.set_postfix({k: f"{v:.4f}" for k, v in terms.items()}, refresh=False)
        self._bar.update()
        if not self._live and time.monotonic() >= self._next:
            self.say(str(self._bar))
            self._next = time.monotonic() + LOG_EVERY_S

    def say(self, line: str) -> None:
        """Print a line above the live one."""
        if not self._quiet:
            tqdm.write(line, file=sys.stderr)

    def close(self) -> None:
        """End the live line."""
        self._bar.close()
        if self._sink is not None:
            self._sink.close()
