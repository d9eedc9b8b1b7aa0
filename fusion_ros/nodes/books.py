# SPDX-License-Identifier: Apache-2.0
"""What the node counts and measures, from `configure` to `cleanup`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from fusion_ros.accounting import FrameLedger
from fusion_ros.nodes.rejections import RejectionLog
from fusion_ros.nodes.telemetry import Telemetry


@dataclasses.dataclass(frozen=True)
class Books:
    """Where frames are counted, timed and complained about.

    Attributes:
        ledger: where every frame ended.
        telemetry: the last seconds.
        rejections: frames that could not be used.
        warn: takes a line of text for the log.
    """

    ledger: FrameLedger
    telemetry: Telemetry
    rejections: RejectionLog
    warn: Callable[[str], object]

    @classmethod
    def open(cls, warn: Callable[[str], object]) -> Books:
        """New books, all at zero."""
        ledger = FrameLedger()
        return cls(ledger, Telemetry(), RejectionLog(ledger, warn), warn)
