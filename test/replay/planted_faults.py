# SPDX-License-Identifier: Apache-2.0
"""Small bags of two synthetic cameras, whole or with a planted fault."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from stand_in_engine import StandInEngine, mean

from fusion_ros.imaging.encodings import ChannelOrder, PixelFrame
from fusion_ros.pipeline import FusionPipeline
from fusion_ros.recordings.bags.writer import BagWriter
from fusion_ros.recordings.opening import open_recording
from fusion_ros.replay.findings import Evidence, Finding, find_faults
from fusion_ros.replay.run import Replay, ReplayResult
from fusion_ros.replay.settings import ReplaySettings
from fusion_ros.thermal.tone import ThermalToneMapper
from fusion_ros.thermal.tone_options import ToneOptions

VISIBLE, THERMAL = "/camera/color/image_raw", "/lwir/image_raw"
PERIOD_NS = 33_333_333
BEGIN_NS = 1_700_000_000 * 10**9
WIDTH, HEIGHT = 96, 72
QUIET = ReplaySettings(measures=("qw",), baselines=("average",), measure_in_background=False)


@dataclasses.dataclass
class Shot:
    """One message before it is written."""

    topic: str
    frame: PixelFrame
    stamp_ns: int
    log_ns: int
    encoding: str | None = None


def shots(count: int = 60) -> Iterator[Shot]:
    """A warm body that walks and stops before a fixed wall, seen by both cameras."""
    rng = np.random.default_rng(5)
    wall = cv2.GaussianBlur(rng.integers(30, 200, (HEIGHT, WIDTH, 3)).astype(np.uint8), (0, 0), 3)
    wall = np.clip((wall.astype(np.float32) - 110) * 3 + 110, 20, 230).astype(np.uint8)
    heat = cv2.GaussianBlur(rng.integers(20, 120, (HEIGHT, WIDTH)).astype(np.uint8), (0, 0), 4)
    for n in range(count):
        column = 20 + int(30 * (1 + np.sin(n / 7.0)))
        visible, thermal = wall.copy(), heat.copy()
        cv2.rectangle(visible, (column, 30), (column + 10, 65), (170, 120, 60), -1)
        cv2.rectangle(thermal, (column, 30), (column + 10, 65), 180, -1)
        noise = rng.integers(0, 3, thermal.shape, dtype=np.uint8)
        stamp = BEGIN_NS + n * PERIOD_NS
        yield Shot(VISIBLE, PixelFrame(visible + noise[..., None], ChannelOrder.RGB), stamp, stamp)
        yield Shot(
            THERMAL, PixelFrame(thermal + noise, ChannelOrder.GREY), stamp, stamp + 1_000_000
        )


def write_bag(
    path: Path,
    change: Callable[[int, Shot], Shot | None] = lambda n, shot: shot,
    *,
    count: int = 60,
    storage: str = "mcap",
    compression: str = "none",
    jpeg: bool = False,
) -> Path:
    """A bag of `shots`, each passed through `change(number of its stream, shot)` first."""
    with BagWriter(path, storage=storage, compression=compression) as bag:
        for at, shot in enumerate(shots(count)):
            kept = change(at // 2, shot)
            if kept is None:
                continue
            times = {"stamp_ns": kept.stamp_ns, "log_ns": kept.log_ns}
            if jpeg:
                bag.jpeg(kept.topic, kept.frame, **times)
            elif kept.encoding is None:
                bag.image(kept.topic, kept.frame, **times)
            else:
                height, width = kept.frame.pixels.shape[:2]
                bag.raw_image(
                    kept.topic,
                    np.ascontiguousarray(kept.frame.pixels).reshape(-1).view(np.uint8),
                    encoding=kept.encoding,
                    height=height,
                    width=width,
                    step=kept.frame.pixels.strides[0],
                    **times,
                )
    return path


def replayed(
    path: Path, settings: ReplaySettings = QUIET, *, unit: str = "counts"
) -> tuple[ReplayResult, dict[str, Finding], Evidence]:
    """Replay a recording with the one-line engine; findings by code."""
    recording = open_recording(path)
    tone = ThermalToneMapper(ToneOptions(unit=unit))
    try:
        result = Replay(recording, FusionPipeline(StandInEngine(mean), tone=tone), settings).run()
        evidence = Evidence(recording.identity, recording.damage, result, settings)
    finally:
        recording.close()
    return result, {finding.code: finding for finding in find_faults(evidence)}, evidence
