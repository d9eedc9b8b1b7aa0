# SPDX-License-Identifier: Apache-2.0
"""Settings of a replay: pairing, as by the node's parameters, and measurement."""

from __future__ import annotations

import dataclasses

from fusion_ros.parameters import FuseParameters
from fusion_ros.streams.flow_options import FlowOptions

QUICK_MEASURES = (
    "qw", "qe", "EN", "SD", "SF", "AG", "MI", "SCD", "CC", "Qabf", "Nabf", "PSNR",
)  # fmt: skip
"""These take 0.2 s per 640x480 image on one core; the other measures take 3.5 s."""

BASELINES = ("visible", "thermal", "average", "Laplacian pyramid")


def refuse_unsupported(parameters: FuseParameters) -> None:
    """Refuse parameters of the fuse node that affect the fused images and cannot be replayed.

    Raises:
        ValueError: a parameter is not supported; the message names what is allowed.
    """
    for name, allowed, why in (
        ("pairing_policy", ("nearest",), "the other policies are those of message_filters"),
        ("thermal_offset_auto", (False,), "it estimates a constant for thermal_offset_ms"),
        ("on_stream_loss", ("pass_other", "hold"), "a replay cannot deactivate a node"),
    ):
        value = getattr(parameters, name)
        if value not in allowed:
            raise ValueError(
                f"parameter {name} is {value!r}, which a replay does not support ({why}); allowed "
                f"here: {', '.join(map(repr, allowed))} (--set {name}={allowed[0]}), or replay "
                "through the node with --live"
            )


@dataclasses.dataclass(frozen=True)
class ReplaySettings(FlowOptions):
    """Settings of a replay: the options of `PairFlow`, and those of the measurement.

    Attributes:
        quality_every: measure every n-th fused frame; 0 chooses n by the recording's length.
        measures: names of `fusion_ros.metrics.MEASURES`.
        baselines: names of `fusion_ros.metrics.baselines.BASELINES` to measure too.
        measure_in_background: measure in a second thread, beside the fusion.
        max_frames: number of messages after which the replay stops; None reads all.
    """

    quality_every: int = 0
    measures: tuple[str, ...] = QUICK_MEASURES
    baselines: tuple[str, ...] = BASELINES
    measure_in_background: bool = True
    max_frames: int | None = None

    def every(self, expected_pairs: int) -> int:
        """Return n to measure every n-th pair: 10 to 120 images, at least every 60th pair."""
        if self.quality_every:
            return self.quality_every
        return max(1, min(60, expected_pairs // 12), -(-expected_pairs // 120))
