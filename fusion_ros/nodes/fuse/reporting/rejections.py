# SPDX-License-Identifier: Apache-2.0
"""Frames that cannot be used: counted each time, logged once for each reason."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from fusion_ros.streams.ledger import Fate, FrameLedger, Stream
from fusion_ros.streams.outside_text import LINE_LIMIT, printable

PAIR_REASONS = ("engine_error", "engine_deadline", "unusable_pair", "internal_error")
"""Reasons that concern a pair or its fusion, and not the camera that a frame is from."""


class RejectionLog:
    """Counter of rejected frames that logs the first one of each reason, with its remedy."""

    def __init__(self, ledger: FrameLedger, warn: Callable[[str], object]) -> None:
        self._ledger = ledger
        self._warn = warn
        self._lock = threading.Lock()
        self._logged: set[tuple[str, str]] = set()
        self._newest: dict[tuple[Stream, str], str] = {}

    def frame(self, stream: Stream, topic: str, reason: str, message: str) -> None:
        """Log a frame that `PairFlow` rejected and counted."""
        self._log((stream,), printable(topic), reason, message)

    def pair(self, reason: str, message: str, *, is_held: bool = False) -> None:
        """Reject a pair that could not be fused; see `FrameLedger.settle_pair`."""
        self._ledger.settle_pair(Fate.REJECTED, reason, is_held=is_held)
        self._log((Stream.VISIBLE,) if is_held else tuple(Stream), "a pair", reason, message)

    def lone(self, stream: Stream, reason: str, message: str) -> None:
        """Reject a frame that could not be published alone."""
        self._ledger.settle(stream, Fate.REJECTED, reason)
        self._log((stream,), f"a {stream.value} frame", reason, message)

    def newest(self) -> Mapping[tuple[Stream, str], str]:
        """Return the newest message of each reason."""
        with self._lock:
            return dict(self._newest)

    def _log(self, streams: tuple[Stream, ...], what: str, reason: str, message: str) -> None:
        with self._lock:
            first = (what, reason) not in self._logged
            self._logged.add((what, reason))
            for stream in streams:
                self._newest[stream, reason] = message
        if first:
            shown = printable(message, LINE_LIMIT - 200)
            self._warn(
                f"{what}: rejected ({reason}): {shown} (further ones are counted, not logged)"
            )
