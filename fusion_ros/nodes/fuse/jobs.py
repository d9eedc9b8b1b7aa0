# SPDX-License-Identifier: Apache-2.0
"""Images that the fuse node publishes."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from fusion_ros.imaging.encodings import ChannelOrder
from fusion_ros.streams.ledger import Stream
from fusion_ros.streams.pair_flow import LoneFrame

if TYPE_CHECKING:
    from fusion_ros.pipeline import FusionPipeline


@dataclasses.dataclass(frozen=True)
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
