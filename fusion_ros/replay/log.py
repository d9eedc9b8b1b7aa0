# SPDX-License-Identifier: Apache-2.0
"""What a replay keeps of each frame: a few numbers, never pixels."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager

from fusion_ros.imaging.pair_check import PairDoubt
from fusion_ros.registration.alignment import Alignment
from fusion_ros.streams.ledger import Fate, Stream

_CLEAR = 6.0
"""Clearness from which the node's diagnostics believe a shift, too."""


@dataclasses.dataclass
class FrameEntry:
    """One input frame. `fate` is None only while the replay runs."""

    stream: Stream
    index: int
    arrived_ns: int
    stamp_ns: int | None
    fate: Fate | None = None
    reason: str = ""
    mean: float | None = None
    motion: float | None = None
    repeated: bool = False
    jump: float = 0.0
    pair: int | None = None
    passed_alone: bool = False


@dataclasses.dataclass
class PairEntry:
    """One fused pair. From `fused_sha256` on, what `PairMeter` fills in.

    Attributes:
        index: counts fused pairs from 0.
        visible_index, thermal_index: which frames of their streams.
        visible_stamp_ns: the fused picture's stamp.
        skew_ms: thermal stamp + offset - visible stamp.
        fused_sha256: over the fused picture's bytes.
        means: of the visible, the thermal (as the network saw it) and the fused picture, 0..255.
        changes: their mean change against the pair before, grey levels; None for the first.
        slopes: mean |difference of neighbours| of each picture, grey levels.
        excess_flicker: see `fusion_ros.metrics.excess_flicker`; None for the first.
        quality: measure by candidate and name; empty where not measured.
        alignment: what the looks so far say, as the node looks; None where not measured.
        doubts: signs that the pair is not what its user expects.
    """

    index: int
    visible_index: int
    thermal_index: int
    visible_stamp_ns: int
    skew_ms: float
    fused_sha256: str = ""
    means: tuple[float, float, float] = (0.0, 0.0, 0.0)
    slopes: tuple[float, float, float] = (0.0, 0.0, 0.0)
    changes: tuple[float, float, float] | None = None
    excess_flicker: float | None = None
    quality: dict[str, dict[str, float]] = dataclasses.field(default_factory=dict)
    alignment: Alignment | None = None
    doubts: tuple[PairDoubt, ...] = ()

    @property
    def clear_alignment(self) -> Alignment | None:
        """`alignment`, where its shift means something."""
        seen = self.alignment
        return seen if seen is not None and seen.clearness >= _CLEAR else None

    @property
    def change_ratio(self) -> float | None:
        """Change of the fused picture over the mean change of its sources; None for the first."""
        if self.changes is None:
            return None
        of_sources = 0.5 * (self.changes[0] + self.changes[1])
        return self.changes[2] / of_sources if of_sources > 0 else None


class ReplayLog:
    """Everything that was seen, in order."""

    def __init__(self) -> None:
        self.frames: list[FrameEntry] = []
        self.pairs: list[PairEntry] = []
        self.times_ms: dict[str, list[float]] = {}
        self.offsets_ms: list[tuple[int, float]] = []
        """Arrival time and estimated constant offset of the thermal stamps, now and then."""

    def time(self, stage: str, milliseconds: float) -> None:
        """Book the time that a stage took."""
        self.times_ms.setdefault(stage, []).append(milliseconds)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Book the time that the body took."""
        start = time.perf_counter()
        yield
        self.time(stage, (time.perf_counter() - start) * 1e3)

    def of(self, stream: Stream) -> list[FrameEntry]:
        """The frames of one stream."""
        return [entry for entry in self.frames if entry.stream is stream]
