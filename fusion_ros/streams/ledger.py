# SPDX-License-Identifier: Apache-2.0
"""Ledger of all input frames: two streams, seven fates.

Pairer, node and replay count in the same `FrameLedger`. So the status message, the diagnostics and
the replay report show the same figures. A frame is *received* once and *settled*
once. A received frame that is not settled is *pending*: it waits for its partner or is being fused.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple


class Stream(str, Enum):
    """The two input streams."""

    VISIBLE = "visible"
    THERMAL = "thermal"


class Fate(str, Enum):
    """Outcome of a frame. Every frame has exactly one."""

    FUSED = "fused"
    """Its pair was fused and published."""
    HELD = "held"
    """A visible frame that was fused with a held thermal frame (`thermal_hold_ms`) and published.
    The thermal frame has the fate of its own pair."""
    SUPERSEDED = "superseded"
    """Its pair waited for the engine and a newer pair took its place."""
    UNPAIRED = "unpaired"
    """No frame of the other stream within the tolerance was paired with it."""
    LATE = "late"
    """It arrived after a pair at or past its stamp was returned."""
    DUPLICATE = "duplicate"
    """Its stamp was seen before on its stream."""
    REJECTED = "rejected"
    """It cannot be used; the reason code is counted as well (`truncated`, `engine_error`, ...)."""


class AccountingError(RuntimeError):
    """A contradictory count: a fault of the caller, never of a camera."""


class StreamCounts(NamedTuple):
    """Totals of one stream since the start, in frames."""

    received: int = 0
    fused: int = 0
    held: int = 0
    superseded: int = 0
    unpaired: int = 0
    late: int = 0
    duplicate: int = 0
    rejected: int = 0
    rejected_by_reason: Mapping[str, int] = {}

    @property
    def settled(self) -> int:
        """Frames with a fate."""
        of_pairs = self.fused + self.held + self.superseded
        return of_pairs + self.unpaired + self.late + self.duplicate + self.rejected

    @property
    def pending(self) -> int:
        """Received frames without a fate. Never negative."""
        return self.received - self.settled

    def since(self, earlier: StreamCounts) -> StreamCounts:
        """Return the counts since `earlier`, an older state of the same stream."""
        names = ("received", *(fate.value for fate in Fate))
        reasons = Counter(self.rejected_by_reason) - Counter(earlier.rejected_by_reason)
        return StreamCounts(
            rejected_by_reason=dict(reasons),
            **{name: getattr(self, name) - getattr(earlier, name) for name in names},
        )

    def with_fate(self, fate: Fate, reason: str) -> StreamCounts:
        """Return the counts with one more frame of a fate, and of a reason if it is not ""."""
        reasons = self.rejected_by_reason
        if reason:
            reasons = {**reasons, reason: reasons.get(reason, 0) + 1}
        number = {fate.value: getattr(self, fate.value) + 1}
        return self._replace(rejected_by_reason=reasons, **number)

    def as_dict(self) -> dict[str, Any]:
        """Return plain numbers for JSON, including `pending`."""
        return {
            "received": self.received,
            **{fate.value: getattr(self, fate.value) for fate in Fate},
            "pending": self.pending,
            "rejected_by_reason": dict(sorted(self.rejected_by_reason.items())),
        }


@dataclass(frozen=True)
class LedgerSnapshot:
    """Both streams at one instant, taken under one lock."""

    visible: StreamCounts
    thermal: StreamCounts

    def since(self, earlier: LedgerSnapshot) -> LedgerSnapshot:
        """Return the counts since `earlier`."""
        return LedgerSnapshot(
            visible=self.visible.since(earlier.visible),
            thermal=self.thermal.since(earlier.thermal),
        )

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """Return `{"visible": {...}, "thermal": {...}}` of plain numbers, for JSON."""
        return {"visible": self.visible.as_dict(), "thermal": self.thermal.as_dict()}


class FrameLedger:
    """Counts received frames and their fates. Thread-safe; a snapshot is always consistent.

    >>> ledger = FrameLedger()
    >>> ledger.receive(Stream.VISIBLE); ledger.receive(Stream.THERMAL)
    >>> ledger.settle_pair(Fate.FUSED)
    >>> ledger.snapshot().visible.fused, ledger.snapshot().thermal.pending
    (1, 0)
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(Stream, StreamCounts())

    def receive(self, stream: Stream) -> None:
        """Count a frame of `stream`. It is pending until `settle`."""
        with self._lock:
            counts = self._counts[stream]
            self._counts[stream] = counts._replace(received=counts.received + 1)

    def settle(self, stream: Stream, fate: Fate, reason: str = "") -> None:
        """Settle one received frame of `stream`.

        `reason` is needed with `Fate.REJECTED` and allowed with no other fate.

        Raises:
            AccountingError: no frame of this stream is pending, or fate and reason do not match.
        """
        self._settle((stream,), fate, reason)

    def settle_pair(self, fate: Fate, reason: str = "", *, is_held: bool = False) -> None:
        """Settle the frames of a pair in one step: no snapshot falls between them.

        Of a pair with a held thermal frame only the visible frame is settled: `Fate.FUSED` counts
        as `Fate.HELD`.

        Raises:
            AccountingError: as `settle`; then neither stream is changed.
        """
        if is_held:
            self._settle((Stream.VISIBLE,), Fate.HELD if fate is Fate.FUSED else fate, reason)
        else:
            self._settle(tuple(Stream), fate, reason)

    def snapshot(self) -> LedgerSnapshot:
        """Return the totals at this instant."""
        with self._lock:
            return LedgerSnapshot(**{s.value: counts for s, counts in self._counts.items()})

    def _settle(self, streams: tuple[Stream, ...], fate: Fate, reason: str) -> None:
        if (fate is Fate.REJECTED) != bool(reason):
            raise AccountingError(
                f"fate {fate.value!r} with reason {reason!r}: "
                "a reason belongs to 'rejected', and to no other fate"
            )
        with self._lock:
            for stream in streams:
                if self._counts[stream].pending < 1:
                    raise AccountingError(
                        f"a {stream.value} frame was settled as {fate.value!r}, but every "
                        f"{self._counts[stream].received} received were settled before"
                    )
            for stream in streams:
                self._counts[stream] = self._counts[stream].with_fate(fate, reason)
