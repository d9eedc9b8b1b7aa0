# SPDX-License-Identifier: Apache-2.0
"""Where every input frame ends: one ledger, two streams, six fates.

The pairer, the node and the replay all book into the same `FrameLedger`, so the status
message, the diagnostics and the replay report show the same figures. A frame is *received* once
and *settled* once; what is received and not yet settled is *pending* (waiting for its partner, or
on its way through the engine).

Knows nothing of pixels, clocks or ROS.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any


class Stream(str, Enum):
    """The two input streams."""

    VISIBLE = "visible"
    THERMAL = "thermal"


class Fate(str, Enum):
    """How a frame ended. Every frame ends in exactly one of these."""

    FUSED = "fused"
    """Its pair was fused and published."""
    SUPERSEDED = "superseded"
    """Its pair waited for the engine and a newer pair took its place."""
    UNPAIRED = "unpaired"
    """No frame of the other stream within the tolerance was its mutual nearest."""
    LATE = "late"
    """It arrived after a pair at or past its stamp had already been given out."""
    DUPLICATE = "duplicate"
    """Its stamp was seen before on its stream."""
    REJECTED = "rejected"
    """It could not be used; the reason says why (`truncated`, `engine_error`, ...)."""


class AccountingError(RuntimeError):
    """A frame was booked in a way that cannot be true: a fault of the caller, never of a camera."""


@dataclass(frozen=True)
class StreamCounts:
    """Totals of one stream since the start, in frames."""

    received: int = 0
    fused: int = 0
    superseded: int = 0
    unpaired: int = 0
    late: int = 0
    duplicate: int = 0
    rejected: int = 0
    rejected_by_reason: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def settled(self) -> int:
        """Frames that have ended, whatever their fate."""
        return (
            self.fused
            + self.superseded
            + self.unpaired
            + self.late
            + self.duplicate
            + self.rejected
        )

    @property
    def pending(self) -> int:
        """Frames received whose fate is still open. Never negative."""
        return self.received - self.settled

    def since(self, earlier: StreamCounts) -> StreamCounts:
        """Return what was counted after `earlier`, an older state of the same stream."""
        names = ("received", *(fate.value for fate in Fate))
        before = earlier.rejected_by_reason
        reasons = {
            reason: count - before.get(reason, 0)
            for reason, count in self.rejected_by_reason.items()
            if count > before.get(reason, 0)
        }
        return StreamCounts(
            rejected_by_reason=MappingProxyType(reasons),
            **{name: getattr(self, name) - getattr(earlier, name) for name in names},
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON; `pending` is among them, so that a reader can add up."""
        return {
            "received": self.received,
            **{fate.value: getattr(self, fate.value) for fate in Fate},
            "pending": self.pending,
            "rejected_by_reason": dict(sorted(self.rejected_by_reason.items())),
        }


@dataclass(frozen=True)
class LedgerSnapshot:
    """Both streams at one instant: taken under one lock, so the figures belong together."""

    visible: StreamCounts
    thermal: StreamCounts

    def since(self, earlier: LedgerSnapshot) -> LedgerSnapshot:
        """Return what was counted after `earlier`."""
        return LedgerSnapshot(
            visible=self.visible.since(earlier.visible),
            thermal=self.thermal.since(earlier.thermal),
        )

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """`{"visible": {...}, "thermal": {...}}` of plain numbers, for JSON."""
        return {"visible": self.visible.as_dict(), "thermal": self.thermal.as_dict()}


class _Account:
    """Running totals of one stream. Touched only under the ledger's lock."""

    __slots__ = ("by_fate", "by_reason", "received")

    def __init__(self) -> None:
        self.received = 0
        self.by_fate = dict.fromkeys(Fate, 0)
        self.by_reason: dict[str, int] = {}

    def open_frames(self) -> int:
        return self.received - sum(self.by_fate.values())

    def counts(self) -> StreamCounts:
        return StreamCounts(
            received=self.received,
            rejected_by_reason=MappingProxyType(dict(self.by_reason)),
            **{fate.value: count for fate, count in self.by_fate.items()},
        )


class FrameLedger:
    """Counts what came in and how it ended. Thread-safe; a snapshot is always consistent.

    >>> ledger = FrameLedger()
    >>> ledger.receive(Stream.VISIBLE); ledger.receive(Stream.THERMAL)
    >>> ledger.settle_pair(Fate.FUSED)
    >>> ledger.snapshot().visible.fused, ledger.snapshot().thermal.pending
    (1, 0)
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._accounts = {stream: _Account() for stream in Stream}

    def receive(self, stream: Stream) -> None:
        """A frame of `stream` came in. Its fate is open until `settle`."""
        with self._lock:
            self._accounts[stream].received += 1

    def settle(self, stream: Stream, fate: Fate, reason: str = "") -> None:
        """One received frame of `stream` ended with `fate`.

        `reason` is needed with `Fate.REJECTED` and allowed with no other fate.

        Raises:
            AccountingError: no frame of this stream is open, or fate and reason do not go together.
        """
        self._settle((stream,), fate, reason)

    def settle_pair(self, fate: Fate, reason: str = "") -> None:
        """One frame of each stream ended with `fate`, in one step: no snapshot falls between them.

        Raises:
            AccountingError: as `settle`; then neither stream is booked.
        """
        self._settle(tuple(Stream), fate, reason)

    def snapshot(self) -> LedgerSnapshot:
        """The totals at this instant."""
        with self._lock:
            return LedgerSnapshot(
                visible=self._accounts[Stream.VISIBLE].counts(),
                thermal=self._accounts[Stream.THERMAL].counts(),
            )

    def _settle(self, streams: tuple[Stream, ...], fate: Fate, reason: str) -> None:
        if (fate is Fate.REJECTED) != bool(reason):
            raise AccountingError(
                f"fate {fate.value!r} with reason {reason!r}: "
                "a reason belongs to 'rejected', and to no other fate"
            )
        with self._lock:
            for stream in streams:
                if self._accounts[stream].open_frames() < 1:
                    raise AccountingError(
                        f"a {stream.value} frame was settled as {fate.value!r}, but every "
                        f"{self._accounts[stream].received} received were settled before"
                    )
            for stream in streams:
                account = self._accounts[stream]
                account.by_fate[fate] += 1
                if reason:
                    account.by_reason[reason] = account.by_reason.get(reason, 0) + 1
