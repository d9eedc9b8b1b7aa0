# SPDX-License-Identifier: Apache-2.0
"""The data that a report shows."""

from __future__ import annotations

import dataclasses
from typing import Any

from fusion_ros.replay.findings import Evidence
from fusion_ros.replay.gallery import Moment
from fusion_ros.replay.log import PairEntry
from fusion_ros.replay.quality import FUSED
from fusion_ros.replay.report.timeline import Tick
from fusion_ros.streams.ledger import Stream

MAIN_MEASURE = "qw"
"""The measure of the timeline and the gallery."""


@dataclasses.dataclass(frozen=True)
class Material:
    """Figures and small images of a run, small enough to be sent from a worker process.

    Attributes:
        at_s: time of each pair in `pairs`.
        misses: moments with the most objects that the detector missed.
    """

    summary: dict[str, Any]
    ticks: list[Tick]
    pairs: list[PairEntry]
    at_s: list[float]
    moments: list[Moment]
    misses: list[Moment]

    @classmethod
    def of(cls, summary: dict[str, Any], evidence: Evidence, detector: Any = None) -> Material:
        """Collect the material of a run; `detector` is a `DetectorSink` or None."""
        log, seconds = evidence.result.log, evidence.seconds
        visible = evidence.frames[Stream.VISIBLE]
        return cls(
            summary,
            [
                (f.stream.value, seconds(f.arrived_ns), f.fate.value)
                for f in log.frames
                if f.fate is not None
            ],
            log.pairs,
            [seconds(visible[p.visible_index].arrived_ns) for p in log.pairs],
            evidence.result.moments,
            detector.worst_misses if detector is not None else [],
        )

    @property
    def marks(self) -> list[float]:
        """Times of findings, in seconds."""
        return sorted({at for f in self.summary["findings"] for at in f["at_s"]})

    def main_measure(self, pair: PairEntry) -> float | None:
        """Return `MAIN_MEASURE` of a pair's fused image, or None if not measured."""
        return pair.quality.get(FUSED, {}).get(MAIN_MEASURE)
