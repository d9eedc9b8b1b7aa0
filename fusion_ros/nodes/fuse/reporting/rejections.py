# SPDX-License-Identifier: Apache-2.0
"""Log of frames that cannot be used, once for each reason."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping

from fusion_ros.outside_text import LINE_LIMIT, printable
from fusion_ros.streams.ledger import Stream

PAIR_REASONS = ("engine_error", "engine_deadline", "unusable_pair", "internal_error")
"""Reasons that concern a pair or its fusion, and not the camera that a frame is from."""


class RejectionLog:
    """Logs the first rejected frame of each reason, with its remedy; thread-safe."""

    def __init__(self, warn: Callable[[str], object]) -> None:
        self._warn = warn
        self._lock = threading.Lock()
        self._logged: set[tuple[str, str]] = set()
        self._newest: dict[tuple[Stream, str], str] = {}

    def newest(self) -> Mapping[tuple[Stream, str], str]:
        """Return the newest message of each reason."""
        with self._lock:
            return dict(self._newest)

    def add(self, streams: Iterable[Stream], subject: str, reason: str, message: str) -> None:
        """Add a rejection of frames of these streams; `subject` begins the line."""
        with self._lock:
            first = (subject, reason) not in self._logged
            self._logged.add((subject, reason))
            for stream in streams:
                self._newest[stream, reason] = message
        if first:
            shown = printable(message, LINE_LIMIT - 200)
            self._warn(
                f"{subject}: rejected ({reason}): {shown} (further ones are counted, not logged)"
            )
