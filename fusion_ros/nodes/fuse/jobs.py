# SPDX-License-Identifier: Apache-2.0
"""What waits for the worker, and what comes out of it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from fusion_ros.imaging.encodings import ChannelOrder
from fusion_ros.streams.intake import CheckedFrame
from fusion_ros.streams.ledger import Stream
from fusion_ros.streams.pairer import Pair

if TYPE_CHECKING:
    from fusion_ros.pipeline import FusionPipeline


FramePair = Pair[CheckedFrame, CheckedFrame]


@dataclasses.dataclass(frozen=True)
class Output:
    """A picture to publish: uint8 HxW or HxWx3, its channel order, stamp and frame id.

    `visible` and `thermal` are the sources of a fused picture, both on its grid, for the overlay.
    """

    pixels: np.ndarray
    order: ChannelOrder
    stamp_ns: int
    frame_id: str
    visible: np.ndarray | None = None
    thermal: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class LoneFrame:
    """A frame whose partner camera is lost.

    Attributes:
        stream: which camera it is from.
        frame: the frame.
        visible_shape, visible_frame_id: the visible camera's grid, if it was ever seen: a thermal
            picture on that grid keeps size and frame id of the stream as its consumers know them.
    """

    stream: Stream
    frame: CheckedFrame
    visible_shape: tuple[int, int] | None
    visible_frame_id: str

    def as_grey(self, pipeline: FusionPipeline) -> Output:
        """The thermal frame as a grey picture, on the visible grid where that is known."""
        grey = pipeline.thermal_alone(
            self.frame.pixels.pixels,
            self.visible_shape,
            thermal_order=self.frame.pixels.order,
            stamp_ns=self.frame.stamp_ns,
        )
        known = self.visible_shape is not None
        frame_id = self.visible_frame_id if known else self.frame.frame_id
        return Output(grey, ChannelOrder.GREY, self.frame.stamp_ns, frame_id)
