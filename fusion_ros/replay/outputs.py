# SPDX-License-Identifier: Apache-2.0
"""The fused pictures as a bag or as a video."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np

from fusion_ros.imaging.encodings import ChannelOrder, PixelFrame
from fusion_ros.replay.bag_writing import BagWriter
from fusion_ros.replay.log import PairEntry

FUSED_TOPIC = "/fused/image_raw"


class BagSink:
    """Writes `fused/image_raw` with the visible frames' stamps; replaces an older bag of ours."""

    def __init__(self, path: Path) -> None:
        if (path / "metadata.yaml").is_file():
            shutil.rmtree(path)
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
        self._path = path
        self._rate_hz = rate_hz
        self._width = panel_width
        self._writer: cv2.VideoWriter | None = None
        self._height = 0

    def take(
        self, entry: PairEntry, visible: np.ndarray, thermal: np.ndarray, fused: np.ndarray
    ) -> None:
        """See `FusedSink`."""
        if self._writer is None:
            self._height = round(visible.shape[0] * self._width / visible.shape[1] / 2) * 2
            codec = cv2.VideoWriter_fourcc(*"mp4v")
            size = (3 * self._width, self._height)
            self._writer = cv2.VideoWriter(str(self._path), codec, self._rate_hz, size)
        panels = [self._panel(picture) for picture in (visible, thermal, fused)]
        self._writer.write(np.hstack(panels))

    def close(self) -> None:
        """See `FusedSink`."""
        if self._writer is not None:
            self._writer.release()

    def _panel(self, picture: np.ndarray) -> np.ndarray:
        code = cv2.COLOR_GRAY2BGR if picture.ndim == 2 else cv2.COLOR_RGB2BGR
        size = (self._width, self._height)
        return cv2.resize(cv2.cvtColor(picture, code), size, interpolation=cv2.INTER_AREA)
