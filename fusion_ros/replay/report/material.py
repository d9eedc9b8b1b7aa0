# SPDX-License-Identifier: Apache-2.0
"""What a report is made of."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

from fusion_ros.replay.findings import Evidence
from fusion_ros.replay.gallery import Moment
from fusion_ros.replay.log import PairEntry
from fusion_ros.replay.quality import FUSED
from fusion_ros.replay.report.timeline import FrameTick
from fusion_ros.streams.ledger import Stream

FACE = "qw"
"""The measure that stands for quality on the timeline and in the gallery."""


@dataclasses.dataclass(frozen=True)
class Material:
    """What the report is made of: figures and small pictures, fit to be sent from a worker."""

    summary: dict[str, Any]
    ticks: list[FrameTick]
    pairs: list[PairEntry]
    at_s: list[float]
    moments: list[Moment]
    offsets: list[tuple[float, float]]
    intervals: dict[str, list[tuple[float, float]]]
    detections: dict[str, dict[str, list[tuple[float, float]]]]
    misses: list[Moment]

    @classmethod
    def of(cls, summary: dict[str, Any], evidence: Evidence, detector: Any = None) -> Material:
        """Collect it. `detector` is a `DetectorSink` or None."""
        visible = evidence.frames[Stream.VISIBLE]
        log = evidence.result.log
        at_s = [evidence.seconds(visible[p.visible_index].arrived_ns) for p in log.pairs]
        intervals = {}
        for stream, frames in evidence.frames.items():
            stamped = [f for f in frames if f.stamp_ns]
            intervals[stream.value] = [
                (evidence.seconds(b.arrived_ns), (b.stamp_ns - a.stamp_ns) / 1e6)
                for a, b in itertools.pairwise(stamped)
            ]
        ticks = [
            FrameTick(f.stream.value, evidence.seconds(f.arrived_ns), f.fate.value)
            for f in log.frames
        ]
        detections = detector.over_time(at_s) if detector is not None else {}
        offsets = [(evidence.seconds(ns), value) for ns, value in log.offsets_ms]
        return cls(
            summary,
            ticks,
            log.pairs,
            at_s,
            evidence.result.moments,
            offsets,
            intervals,
            detections,
            detector.worst_misses if detector is not None else [],
        )

    @property
    def marks(self) -> list[float]:
        """Where findings are, in seconds."""
        return sorted({at for f in self.summary["findings"] for at in f["at_s"]})

    def face_of(self, pair: PairEntry) -> float | None:
        """`FACE` of a pair's fused picture, where it was measured."""
        return pair.quality.get(FUSED, {}).get(FACE)
