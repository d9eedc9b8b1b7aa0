# SPDX-License-Identifier: Apache-2.0
"""The fused pictures as a bag or as a video."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from fusion_ros.files.images import VideoWriter
from fusion_ros.imaging.encodings import ChannelOrder, PixelFrame
from fusion_ros.recordings.bags.writer import BagWriter
from fusion_ros.replay.log import PairEntry

FUSED_TOPIC = "/fused/image_raw"


class BagSink:
    """Writes `fused/image_raw` with the visible frames' stamps."""

    def __init__(self, path: Path) -> None:
        self._bag = BagWriter(path)
        self._bag.__enter__()

    def take(
        self, entry: PairEntry, visible: np.ndarray, thermal: np.ndarray, fused: np.ndarray
    ) -> None:
        """See `FusedSink`."""
        order = ChannelOrder.GREY if fused.ndim == 2 else ChannelOrder.RGB
        self._bag.image(
            FUSED_TOPIC,
            PixelFrame(fused, order),
            stamp_ns=entry.visible_stamp_ns,
            frame_id="visible_camera",
        )

    def close(self) -> None:
        """See `FusedSink`."""
        self._bag.__exit__(None, None, None)


class VideoSink:
    """Writes visible, thermal and fused side by side, a frame for each pair."""

    def __init__(self, path: Path, rate_hz: float = 30.0, panel_width: int = 480) -> None:
        self._video = VideoWriter(path, rate_hz)
        self._width = panel_width
        self._height = 0

    def take(
        self, entry: PairEntry, visible: np.ndarray, thermal: np.ndarray, fused: np.ndarray
    ) -> None:
        """See `FusedSink`."""
        if not self._height:
            self._height = round(visible.shape[0] * self._width / visible.shape[1] / 2) * 2
        self._video.write(np.hstack([self._panel(p) for p in (visible, thermal, fused)]))

    def close(self) -> None:
        """See `FusedSink`; raises OSError where frames are missing in the file."""
        self._video.finish()

    def _panel(self, picture: np.ndarray) -> np.ndarray:
        code = cv2.COLOR_GRAY2BGR if picture.ndim == 2 else cv2.COLOR_RGB2BGR
        size = (self._width, self._height)
        return cv2.resize(cv2.cvtColor(picture, code), size, interpolation=cv2.INTER_AREA)
