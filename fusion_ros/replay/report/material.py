# SPDX-License-Identifier: Apache-2.0
"""The data that a report shows."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import Any

from fusion_ros.replay.findings import Evidence
from fusion_ros.replay.gallery import Moment
from fusion_ros.replay.log import PairEntry
from fusion_ros.replay.quality import FUSED
from fusion_ros.streams.ledger import Stream

MAIN_MEASURE = "qw"
"""The measure of the timeline and the gallery."""


@dataclasses.dataclass(frozen=True)
class Material:
    """Figures and small images of a run; `misses` show objects that the detector missed."""

    summary: dict[str, Any]
    evidence: Evidence
    misses: list[Moment] = dataclasses.field(default_factory=list)

    @cached_property
    def timed_pairs(self) -> list[tuple[float, PairEntry]]:
        """Pairs with their times in seconds, by number."""
        visible = self.evidence.frames[Stream.VISIBLE]
        pairs = self.evidence.result.log.pairs
        return [(self.evidence.seconds(visible[p.visible_index].arrived_ns), p) for p in pairs]

    @property
    def marks(self) -> list[float]:
        """Times of findings, in seconds."""
        return sorted({at for f in self.summary["findings"] for at in f["at_s"]})

    def main_measure(self, pair: PairEntry) -> float | None:
        """Return `MAIN_MEASURE` of a pair's fused image, or None if not measured."""
        return pair.quality.get(FUSED, {}).get(MAIN_MEASURE)
