# SPDX-License-Identifier: Apache-2.0
"""Jobs of the fuse node's threads, and the images that they publish."""

from __future__ import annotations

import dataclasses
import threading
from typing import TYPE_CHECKING

import numpy as np

from fusion_ros.imaging.encodings import ChannelOrder
from fusion_ros.streams.ledger import Stream
from fusion_ros.streams.pair_flow import FramePair, LoneFrame

if TYPE_CHECKING:
    from fusion_ros.pipeline import FusedFrame, FusionPipeline


class Claim:
    """The right to settle a job; it can be taken once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Return whether the claim was free; it is taken now."""
        return self._lock.acquire(blocking=False)


@dataclasses.dataclass(slots=True)
class Work:
    """A job of the worker's thread."""

    job: FramePair | LoneFrame
    claim: Claim = dataclasses.field(default_factory=Claim)


@dataclasses.dataclass(slots=True)
class Output:
    """An image to publish: uint8 HxW or HxWx3, its channel order, stamp and frame id.

    `visible` and `thermal` are the sources of a fused image, both on its grid, for the overlay.
    """

    pixels: np.ndarray
    order: ChannelOrder
    stamp_ns: int
    frame_id: str
    visible: np.ndarray | None = None
    thermal: np.ndarray | None = None


@dataclasses.dataclass(slots=True)
class Publication:
    """An image to publish, with its job for the counters."""

    output: Output
    job: FramePair | LoneFrame
    fused: FusedFrame | None = None
    begun_ns: int = 0
    claim: Claim = dataclasses.field(default_factory=Claim)


def lone_output(job: LoneFrame, pipeline: FusionPipeline) -> Output:
    """Return the image of a frame that passes alone; a thermal one in grey."""
    frame = job.frame
    pixels, order = frame.pixels.pixels, frame.pixels.order
    if job.stream is Stream.THERMAL:
        pixels = pipeline.thermal_alone(
            pixels, job.visible_shape, thermal_order=order, stamp_ns=frame.stamp_ns
        )
        return Output(pixels, ChannelOrder.GREY, frame.stamp_ns, job.frame_id)
    return Output(pixels, order, frame.stamp_ns, frame.frame_id)


def size_key(
    pipeline: FusionPipeline, job: FramePair | LoneFrame
) -> tuple[int, tuple[int, ...], tuple[int, ...]] | None:
    """Return a key of the sizes that an engine compiles for; None where no engine runs."""
    if isinstance(job, LoneFrame):
        return None
    frames = (job.visible.pixels.pixels, job.thermal.pixels.pixels)
    running = getattr(pipeline.engine, "running", pipeline.engine)  # the one that a fallback uses
    return id(running), frames[0].shape, frames[1].shape
