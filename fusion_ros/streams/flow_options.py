# SPDX-License-Identifier: Apache-2.0
"""The options of `PairFlow` and its parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fusion_ros.streams.stamps import NS_PER_MS

if TYPE_CHECKING:
    from fusion_ros.parameters import FuseParameters


@dataclass(frozen=True)
class FlowOptions:
    """The fuse node's parameters that decide which frames are fused or passed alone.

    Attributes:
        tolerance_ns: `pairing_tolerance_ms`.
        thermal_offset_ns: `thermal_offset_ms`.
        follows_offset: `thermal_offset_auto`; see `PairFlow.follow_offset`.
        hold_ns: `thermal_hold_ms`; None is automatic.
        queue_size: `pairing_queue_size`.
    """

    stamp_source: str = "header"
    detect_shutter: bool = True
    frozen_after_ms: float = 2000.0
    on_stream_loss: str = "pass_other"
    stream_timeout_ms: float = 1000.0
    tolerance_ns: int = 20_000_000
    thermal_offset_ns: int = 0
    follows_offset: bool = False
    hold_ns: int | None = None
    queue_size: int = 8

    @classmethod
    def of(cls, values: FuseParameters) -> FlowOptions:
        """Return the options that the parameters contain."""
        hold_ms = values.thermal_hold_ms
        return cls(
            stamp_source=values.stamp_source,
            detect_shutter=values.detect_shutter,
            frozen_after_ms=values.frozen_after_ms,
            on_stream_loss=values.on_stream_loss,
            stream_timeout_ms=values.stream_timeout_ms,
            tolerance_ns=round(values.pairing_tolerance_ms * NS_PER_MS),
            thermal_offset_ns=round(values.thermal_offset_ms * NS_PER_MS),
            follows_offset=values.thermal_offset_auto,
            hold_ns=None if hold_ms < 0 else round(hold_ms * NS_PER_MS),
            queue_size=values.pairing_queue_size,
        )
