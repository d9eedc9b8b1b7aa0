# SPDX-License-Identifier: Apache-2.0
"""How a recording is replayed: what the node's parameters say of pairing, and what is measured."""

from __future__ import annotations

import dataclasses

from fusion_ros.parameters import FuseParameters
from fusion_ros.streams.pair_flow import FlowOptions

QUICK_MEASURES = (
    "qw", "qe", "EN", "SD", "SF", "AG", "MI", "SCD", "CC", "Qabf", "Nabf", "PSNR",
)  # fmt: skip
"""0.2 s a picture of 640x480 on one core; the others of `fusion_ros.metrics` take 3.5 s."""

BASELINES = ("visible", "thermal", "average", "Laplacian pyramid")
STAMP_SOURCES = ("header", "arrival")


def refuse_unsupported(parameters: FuseParameters) -> None:
    """Refuse parameters of the fuse node that would change what is fused and cannot be replayed.

    Raises:
        ValueError: one line that names the parameter, its value and what is allowed.
    """
    for name, allowed, why in (
        ("pairing_policy", ("nearest",), "the other policies are those of message_filters"),
        ("on_stream_loss", ("pass_other", "hold"), "a replay cannot deactivate a node"),
    ):
        value = getattr(parameters, name)
        if value not in allowed:
            raise ValueError(
                f"parameter {name} is {value!r}, which a replay cannot follow ({why}); allowed "
                f"here: {', '.join(map(repr, allowed))} (--set {name}={allowed[0]}), or replay "
                "through the node with --live"
            )


@dataclasses.dataclass(frozen=True)
class ReplaySettings(FlowOptions):
    """Settings of a replay: the options of `PairFlow`, and what is measured.

    Attributes:
        quality_every: measure every n-th fused frame; 0 chooses n from the recording's length.
        measures: names of `fusion_ros.metrics.MEASURES`.
        baselines: names of `metrics.baselines.BASELINES` to measure beside the fused picture.
        measure_in_background: measure in a process of its own, beside the fusing.
        max_frames: stop after so many messages; None reads all.
    """

    quality_every: int = 0
    measures: tuple[str, ...] = QUICK_MEASURES
    baselines: tuple[str, ...] = BASELINES
    measure_in_background: bool = True
    max_frames: int | None = None

    def __post_init__(self) -> None:
        if self.stamp_source not in STAMP_SOURCES:
            raise ValueError(
                f"stamp_source is {self.stamp_source!r}, allowed: {', '.join(STAMP_SOURCES)}"
            )
        if self.quality_every < 0:
            raise ValueError(f"quality_every is {self.quality_every}, allowed is 0 or more")

    def every(self, expected_pairs: int) -> int:
        """Measure every n-th pair: 10 to 120 pictures, at least one in 60 of a short recording."""
        if self.quality_every:
            return self.quality_every
        return max(1, min(60, expected_pairs // 12), -(-expected_pairs // 120))
