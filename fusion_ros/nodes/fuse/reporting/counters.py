# SPDX-License-Identifier: Apache-2.0
"""Counters, telemetry and rejection log of the node, from `configure` to `cleanup`."""

from __future__ import annotations

import time
from collections.abc import Callable

from fusion_ros.nodes.fuse.reporting.rejections import RejectionLog
from fusion_ros.nodes.fuse.reporting.telemetry import Telemetry
from fusion_ros.nodes.runtime.log_lines import RepeatedEvents
from fusion_ros.streams.ledger import FrameLedger, Stream
from fusion_ros.streams.stream_health import StreamWatch


class Counters:
    """Counters at zero, telemetry and rejection log; `warn` logs a line."""

    def __init__(self, warn: Callable[[str], object]) -> None:
        now_ns = time.monotonic_ns()
        self.ledger = FrameLedger()
        self.telemetry = Telemetry()
        self.watches = {s: StreamWatch(now_ns, detect_flat=s is Stream.THERMAL) for s in Stream}
        self.rejections = RejectionLog(warn)
        self.warn = warn
        self.warn_repeated = RepeatedEvents(warn)
        """For events that may repeat with every frame."""
