# SPDX-License-Identifier: Apache-2.0
"""Log of a replay: a few numbers for each frame and pair, no pixels."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager

from fusion_ros.imaging.pair_check import PairDoubt
from fusion_ros.registration.alignment import CLEAR, Alignment
from fusion_ros.streams.ledger import Fate, Stream


@dataclasses.dataclass
class FrameEntry:
    """One input frame. `StreamWatcher` sets `mean`, `motion`, `repeated` and `jump`.

    Attributes:
        fate: None only during the replay.
        mean: mean of all pixels, in the camera's units.
        motion: mean change from the previous frame, relative to the image's standard deviation.
        repeated: whether all pixels equal those of the previous frame.
        jump: size of a gain jump, else 0.
    """

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
    """One fused pair. `PairMeter` sets the attributes from `fused_sha256` on.

    Attributes:
        index: number of the fused pair from 0.
        visible_index, thermal_index: positions of the frames in their streams.
        visible_stamp_ns: stamp of the fused image.
        skew_ms: thermal stamp + offset - visible stamp.
        is_held: whether the thermal frame is held for a visible frame without a partner.
        fused_sha256: digest of the fused image's bytes.
        means: mean of the visible, thermal (network input), fused and average image, 0 to 255.
        changes: their mean changes from the previous pair in grey levels; None for the first pair.
        slopes: mean absolute difference of neighbouring pixels of each image, in grey levels.
        excess_flicker: see `fusion_ros.metrics.excess_flicker`; None for the first pair.
        quality: value by candidate and measure; empty if not measured.
        alignment: estimate of the alignment monitor so far; None if not measured.
        doubts: signs of unintended input or output.
    """

    index: int
    visible_index: int
    thermal_index: int
    visible_stamp_ns: int
    skew_ms: float
    is_held: bool = False
    fused_sha256: str = ""
    means: tuple[float, ...] = ()
    slopes: tuple[float, ...] = ()
    changes: tuple[float, ...] | None = None
    excess_flicker: float | None = None
    quality: dict[str, dict[str, float]] = dataclasses.field(default_factory=dict)
    alignment: Alignment | None = None
    doubts: tuple[PairDoubt, ...] = ()

    @property
    def clear_alignment(self) -> Alignment | None:
        """`alignment` if its shift is reliable, else None."""
        seen = self.alignment
        return seen if seen is not None and seen.clearness >= CLEAR else None

    @property
    def change_ratio(self) -> float | None:
        """Change of the fused image relative to the mean change of its sources, or None."""
        if self.changes is None:
            return None
        of_sources = 0.5 * (self.changes[0] + self.changes[1])
        return self.changes[2] / of_sources if of_sources > 0 else None


class ReplayLog:
    """Frames, pairs, times and offsets of a replay, in order."""

    def __init__(self) -> None:
        self.frames: list[FrameEntry] = []
        self.pairs: list[PairEntry] = []
        self.times_ms: dict[str, list[float]] = {}
        self.offsets_ms: list[tuple[int, float]] = []
        """Arrival times and estimates of the constant offset of the thermal stamps."""
        self.width = 0
        """Width of the fused images in pixels."""

    @property
    def partner_pairs(self) -> list[PairEntry]:
        """Pairs without those of held thermal frames."""
        return [pair for pair in self.pairs if not pair.is_held]

    def time(self, stage: str, milliseconds: float) -> None:
        """Add a duration of a stage."""
        self.times_ms.setdefault(stage, []).append(milliseconds)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the duration of the body to a stage."""
        start = time.perf_counter()
        yield
        self.time(stage, (time.perf_counter() - start) * 1e3)
