# SPDX-License-Identifier: Apache-2.0
"""Sinks that write the fused images to a bag or a video."""

from __future__ import annotations

import numpy as np

from fusion_ros.files.images import VideoWriter
from fusion_ros.imaging.encodings import ChannelOrder, PixelFrame
from fusion_ros.imaging.side_by_side import side_by_side, video_panel_size
from fusion_ros.recordings.bags.writer import BagWriter
from fusion_ros.replay.log import PairEntry
from fusion_ros.replay.run import FusedSink
from fusion_ros.streams.pair_flow import LoneFrame

FUSED_TOPIC = "/fused/image_raw"
VIDEO_RATE_HZ = 30.0
_PANEL_WIDTH = 480


class BagSink(FusedSink):
    """Sink that writes `/fused/image_raw` with the visible frames' stamps to an open bag."""

    def __init__(self, bag: BagWriter) -> None:
        self._bag = bag

    def take(
        self, entry: PairEntry, visible: np.ndarray, thermal: np.ndarray, fused: np.ndarray
    ) -> None:
        """See `FusedSink`."""
        self._write(fused, entry.visible_stamp_ns)

    def take_alone(self, lone: LoneFrame, image: np.ndarray) -> None:
        """See `FusedSink`."""
        self._write(image, lone.frame.stamp_ns)

    def _write(self, image: np.ndarray, stamp_ns: int) -> None:
        order = ChannelOrder.GREY if image.ndim == 2 else ChannelOrder.RGB
        self._bag.image(
            FUSED_TOPIC, PixelFrame(image, order), stamp_ns=stamp_ns, frame_id="visible_camera"
        )


class VideoSink(FusedSink):
    """Sink that writes a video with visible, thermal and fused images side by side."""

    def __init__(self, video: VideoWriter) -> None:
        self._video = video
        self._size: tuple[int, int] | None = None

    def take(
        self, entry: PairEntry, visible: np.ndarray, thermal: np.ndarray, fused: np.ndarray
    ) -> None:
        """See `FusedSink`."""
        self._size = self._size or video_panel_size(visible, _PANEL_WIDTH)
        panels = {"visible": visible, "thermal": thermal, "fused": fused}
        self._video.write(side_by_side(panels, size=self._size, labelled=False))
