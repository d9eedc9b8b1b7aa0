# SPDX-License-Identifier: Apache-2.0
"""Counters, telemetry and rejection log of the node, from `configure` to `cleanup`."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping

from fusion_ros.nodes.fuse.reporting.rejections import RejectionLog
from fusion_ros.nodes.fuse.reporting.telemetry import Telemetry
from fusion_ros.nodes.runtime.log_lines import RepeatedEvents
from fusion_ros.streams.ledger import FrameLedger, Stream
from fusion_ros.streams.stream_health import StreamWatch


@dataclasses.dataclass(frozen=True)
class Counters:
    """Counters, telemetry and rejection log.

    Attributes:
        warn: logs a line.
        warn_repeated: `warn` for events that may repeat with every frame; see `RepeatedEvents`.
    """

    ledger: FrameLedger
    telemetry: Telemetry
    watches: Mapping[Stream, StreamWatch]
    rejections: RejectionLog
    warn: Callable[[str], object]
    warn_repeated: RepeatedEvents

    @classmethod
    def starting_now(cls, warn: Callable[[str], object]) -> Counters:
        """Return counters at zero; silence of the streams is counted from now."""
        ledger, now_ns = FrameLedger(), time.monotonic_ns()
        watches = {
            stream: StreamWatch(now_ns, detect_flat=stream is Stream.THERMAL) for stream in Stream
        }
        rejections = RejectionLog(ledger, warn)
        return cls(ledger, Telemetry(), watches, rejections, warn, RepeatedEvents(warn))
