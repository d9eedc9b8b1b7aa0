# SPDX-License-Identifier: Apache-2.0
"""Outcome of each attack, and the table of all of them."""

from __future__ import annotations

import dataclasses
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

TRACEBACK = "Traceback (most recent call last)"
WAYS = ("death", "hang", "traceback", "silent")
"""Breaches: the process died, did not answer, printed a traceback, or passed a fault."""


@dataclasses.dataclass
class Tally:
    """Attempts of one kind of attack, and their breaches.

    Args:
        kind: its name.
        seed: makes the run repeatable, but for timing.
        folder: scratch space.
        seconds: time for it.
        keep: folder for inputs that made a breach.
        last_s: monotonic time at which the whole run ends.
    """

    kind: str
    seed: int
    folder: Path
    seconds: float
    keep: Path
    last_s: float = float("inf")
    tried: int = 0
    breaches: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(f"{self.kind} {self.seed}")
        self.begin()

    def begin(self) -> None:
        """Let its time begin now: a node has started."""
        self._end_s = min(time.monotonic() + self.seconds, self.last_s)

    @property
    def has_time(self) -> bool:
        """Whether the next attempt may begin."""
        return time.monotonic() < self._end_s

    def breach(self, way: str, what: str, detail: str, file: Path | None = None) -> None:
        """Note a breach, and keep the file that made it."""
        entry = {"way": way, "what": what, "detail": _tail(detail)}
        if file is not None and file.is_file():
            self.keep.mkdir(parents=True, exist_ok=True)
            kept = self.keep / f"{self.kind}_{len(self.breaches)}_{file.name}"
            kept.write_bytes(file.read_bytes())
            entry["file"] = kept.name
        self.breaches.append(entry)

    def check_log(self, log: Path, what: str, read_from: int = 0) -> int:
        """Note a traceback in a log from a position on; returns the position of its end."""
        text = log.read_bytes()[read_from:].decode(errors="backslashreplace")
        if TRACEBACK in text:
            self.breach("traceback", what, text[text.index(TRACEBACK) :])
        return read_from + len(text.encode(errors="backslashreplace"))

    def counts(self) -> dict[str, int]:
        """Breaches by way."""
        found = Counter(breach["way"] for breach in self.breaches)
        return {way: found[way] for way in WAYS}


def wait_until(condition: Callable[[], bool], seconds: float, step_s: float = 0.02) -> bool:
    """Whether the condition came true in time."""
    end_s = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end_s:
            return False
        time.sleep(step_s)
    return True


def table(tallies: list[Tally]) -> str:
    """The run as text: a row a kind, then the breaches by their last line."""
    lines = [f"{'kind':<12}{'tried':>7}" + "".join(f"{way:>11}" for way in WAYS)]
    for tally in tallies:
        counts = tally.counts()
        lines.append(
            f"{tally.kind:<12}{tally.tried:>7}" + "".join(f"{counts[way]:>11}" for way in WAYS)
        )
    for tally in tallies:
        lines += [f"{tally.kind}: {note}" for note in tally.notes]
        shown = Counter((b["way"], b["what"], _last_line(b["detail"])) for b in tally.breaches)
        lines += [
            f"{tally.kind}: {way}{f' x {n}' if n > 1 else ''}: {what}: {detail}"
            for (way, what, detail), n in shown.most_common(30)
        ]
    return "\n".join(lines)


def _tail(text: str) -> str:
    return text.strip()[-2000:]


def _last_line(text: str) -> str:
    return (text.splitlines() or [""])[-1][:160]
