# SPDX-License-Identifier: Apache-2.0
"""A small bag with every fate: jitter, losses, a duplicate, a late and rejected frames, a jump."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
from planted_faults import THERMAL, VISIBLE, shots

from fusion_ros.imaging.encodings import ChannelOrder, PixelFrame
from fusion_ros.parameters import FuseParameters
from fusion_ros.pipeline import FusionPipeline
from fusion_ros.recordings.bags.writer import BagWriter
from fusion_ros.recordings.opening import open_recording
from fusion_ros.replay.log import PairEntry
from fusion_ros.replay.run import FusedSink, Replay
from fusion_ros.replay.settings import ReplaySettings
from fusion_ros.streams.flow_options import FlowOptions
from fusion_ros.streams.ledger import LedgerSnapshot
from fusion_ros.streams.pair_flow import LoneFrame

PERIOD_NS = 100_000_000
FRAMES = 60
JUMP_AT = 48
"""From here on the stamps repeat those of three seconds before."""
BEGIN_NS = 1_700_000_000 * 10**9
MS = 1_000_000
PARAMETERS = {"stream_timeout_ms": 330.0, "pairing_tolerance_ms": 40.0}
"""A camera of 10 Hz is lost amid two frames: 50 ms from the arrival of either."""
LOST = {(THERMAL, 10), (THERMAL, 11), (VISIBLE, 15), *((THERMAL, n) for n in range(32, 44))}


@dataclasses.dataclass
class Outcome:
    """Results that must be equal in the node and in the replay."""

    counts: LedgerSnapshot
    passed_alone: dict[str, int]
    pairs: list[tuple[int, float]]
    """Visible stamp and skew in milliseconds."""
    images: list[tuple[int, str]]
    """Stamp and SHA-256 of the RGB bytes of each published image."""


def sha256(image: np.ndarray) -> str:
    rgb = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image
    return hashlib.sha256(np.ascontiguousarray(rgb).tobytes()).hexdigest()


def write_uneven_bag(path: Path) -> Path:
    """10 Hz, six seconds."""
    chance = np.random.default_rng(7)
    messages = []
    for at, shot in enumerate(shots(FRAMES)):
        n, visible = at // 2, shot.topic == VISIBLE
        # Where the rhythms are known: before that, pairs with skew are decided two at a time.
        jitter_ns = int(chance.integers(-4 * MS, 4 * MS)) if 9 <= n < 32 else 0
        stamp_ns = BEGIN_NS + n * PERIOD_NS + jitter_ns - (30 * PERIOD_NS if n >= JUMP_AT else 0)
        log_ns = BEGIN_NS + n * PERIOD_NS + (0 if visible else 20 * MS)
        frame, encoding = shot.frame, "rgb8" if visible else "mono16"
        if not visible:
            frame = PixelFrame(frame.pixels.astype(np.uint16) * 20 + 7000, ChannelOrder.GREY)
        if (shot.topic, n) in LOST:
            continue
        if (n, visible) == (25, True):
            log_ns += 2 * PERIOD_NS + 40 * MS  # after later pairs
        if (n, visible) == (29, False):
            stamp_ns = 0
        if (n, visible) == (27, False):
            encoding = "nonsense"
        messages.append((log_ns, shot.topic, frame, stamp_ns, encoding))
        if (n, visible) == (20, False):
            messages.append((log_ns + 30 * MS, shot.topic, frame, stamp_ns, encoding))
    with BagWriter(path) as bag:
        for log_ns, topic, frame, stamp_ns, encoding in sorted(messages, key=lambda m: m[0]):
            pixels = np.ascontiguousarray(frame.pixels)
            bag.raw_image(
                topic,
                pixels.reshape(-1).view(np.uint8),
                encoding=encoding,
                height=pixels.shape[0],
                width=pixels.shape[1],
                step=pixels.strides[0],
                stamp_ns=stamp_ns,
                log_ns=log_ns,
                frame_id="camera",
            )
    return path


class _Images(FusedSink):
    def __init__(self) -> None:
        self.images: list[tuple[int, str]] = []

    def take(
        self, entry: PairEntry, visible: np.ndarray, thermal: np.ndarray, fused: np.ndarray
    ) -> None:
        self.images.append((entry.visible_stamp_ns, sha256(fused)))

    def take_alone(self, lone: LoneFrame, image: np.ndarray) -> None:
        self.images.append((lone.frame.stamp_ns, sha256(image)))


def replay_outcome(bag: Path, pipeline: FusionPipeline, values: FuseParameters) -> Outcome:
    """The outcome of `fusion-ros replay`."""
    settings = ReplaySettings(
        **vars(FlowOptions.of(values)), measures=(), baselines=(), measure_in_background=False
    )
    recording, kept = open_recording(bag), _Images()
    result = Replay(recording, pipeline, settings, (kept,)).run()
    recording.close()
    assert len(result.log.frames) == result.counts.visible.received + result.counts.thermal.received
    fates = Counter(frame.fate for frame in result.log.frames)
    assert all(fates[fate] > 0 for fate in fates)
    return Outcome(
        counts=result.counts,
        passed_alone=dict(Counter(f.stream.value for f in result.log.frames if f.passed_alone)),
        pairs=[(p.visible_stamp_ns, round(p.skew_ms, 3)) for p in result.log.pairs],
        images=kept.images,
    )


def check_every_fate(outcome: Outcome) -> None:
    """The bag is worth comparing: each fate but `superseded` occurs."""
    visible, thermal = outcome.counts.visible, outcome.counts.thermal
    assert visible.late == 1
    assert thermal.duplicate == 1
    assert dict(thermal.rejected_by_reason) == {"unknown_encoding": 1, "zero_stamp": 1}
    assert visible.unpaired > 8
    assert visible.fused == thermal.fused > 25
    assert visible.superseded == visible.pending == thermal.pending == 0
