# SPDX-License-Identifier: Apache-2.0
"""Parts of the recorder without rclpy: recent frames, the video and the counters."""

from __future__ import annotations

import queue
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from fusion_ros.files.images import VideoWriter, new_video
from fusion_ros.imaging.side_by_side import side_by_side, video_panel_size
from fusion_ros.outside_text import error_line
from fusion_ros.streams.ledger import Fate, Stream

VIDEO_PANEL_WIDTH = 448


class RecentFrames:
    """The newest `size` frames of one stream by stamp."""

    def __init__(self, size: int = 24) -> None:
        self._size = size
        self._frames: OrderedDict[int, np.ndarray] = OrderedDict()

    def add(self, stamp_ns: int, pixels: np.ndarray) -> None:
        """Add a frame and drop the oldest beyond `size`."""
        self._frames[stamp_ns] = pixels
        while len(self._frames) > self._size:
            self._frames.popitem(last=False)

    def nearest(self, stamp_ns: int) -> np.ndarray | None:
        """Return the frame with the nearest stamp, or None if there is none."""
        if not self._frames:
            return None
        return self._frames[min(self._frames, key=lambda stamp: abs(stamp - stamp_ns))]


class PacedVideo:
    """Video writer with its own thread, so that the caller does not wait for the encoder.

    The video plays in real time: a frame is repeated until the next one is due. A frame is left out
    and counted in `left_out` when 30 others are waiting.
    """

    def __init__(self, path: Path, rate_hz: float) -> None:
        self.path = path
        self.written = 0
        self.left_out = 0
        self.error = ""
        """After `close`: the error that prevented the video, or an empty text."""
        self._is_ended = False
        self._rate_hz = rate_hz
        self._waiting: queue.Queue[tuple[float, dict[str, np.ndarray]] | None] = queue.Queue(
            maxsize=30
        )
        # A daemon, so that a node that could not be made does not keep the process.
        self._thread = threading.Thread(target=self._run, name="video", daemon=True)
        self._thread.start()

    def add(self, seconds: float, panels: dict[str, np.ndarray]) -> None:
        """Show a frame from `seconds` after the beginning of the video."""
        try:
            self._waiting.put_nowait((seconds, panels))
        except queue.Full:
            self.left_out += 1

    def close(self) -> None:
        """Write the waiting frames and close the file; on failure an earlier file remains.

        Further calls have no effect.
        """
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        if (first := self._waiting.get()) is None:
            return
        try:
            with new_video(self.path, self._rate_hz) as video:
                self._write(video, first)
        except Exception as error:  # a full disk must not keep `close` waiting
            self.error = error_line(error)
            while not self._is_ended:
                self._is_ended = self._waiting.get() is None

    def _write(self, video: VideoWriter, first: tuple[float, dict[str, np.ndarray]]) -> None:
        item: tuple[float, dict[str, np.ndarray]] | None = first
        before: np.ndarray | None = None
        size = video_panel_size(next(iter(first[1].values())), VIDEO_PANEL_WIDTH)
        while item is not None:
            image = side_by_side(item[1], size=size)
            while before is not None and self.written < round(item[0] * self._rate_hz):
                video.write(before)
                self.written += 1
            video.write(image)
            self.written += 1
            before = image
            item = self._waiting.get()
        self._is_ended = True


def counts_from_status(status: Any) -> dict[str, Any]:
    """Return frames in, fused and dropped by reason since the fuse node started."""
    fates = [fate.value for fate in Fate if fate not in (Fate.FUSED, Fate.HELD)]
    streams = [stream.value for stream in Stream]

    def of(field: str) -> dict[str, int]:
        return {stream: int(getattr(status, f"{stream}_{field}")) for stream in streams}

    dropped: dict[str, dict[str, Any]] = {}
    for stream in streams:
        dropped[stream] = {fate: int(getattr(status, f"{stream}_{fate}")) for fate in fates}
        reasons = getattr(status, f"{stream}_rejected_reasons")
        counts = getattr(status, f"{stream}_rejected_counts")
        dropped[stream]["rejected_by_reason"] = {
            reason: int(count) for reason, count in zip(reasons, counts, strict=False)
        }
    return {
        "frames_in": of("received"),
        "frames_fused": of("fused"),
        "frames_held": of("held"),
        "frames_pending": of("pending"),
        "frames_dropped": dropped,
    }
