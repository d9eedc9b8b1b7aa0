# SPDX-License-Identifier: Apache-2.0
"""Fusion of two videos whose frames are paired by time."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from fusion_ros.files.images import new_video
from fusion_ros.recordings.file_pairs import FilePair, InputError
from fusion_ros.recordings.video_files import VideoFile, match_videos, paired_frames
from fusion_ros.streams.ledger import Stream

FuseFrame = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


@dataclasses.dataclass(frozen=True)
class FusedVideo:
    """A written video.

    Attributes:
        count: frames written.
        left: frames without a partner of the visible and the thermal video, by the files' counts.
        doubt: a sign that the videos do not start and end together, or "".
        summary: how the frames were paired.
    """

    count: int
    left: tuple[int, int]
    doubt: str
    summary: str


def frame_count(pair: FilePair) -> int:
    """Return the frame count of the shorter video by its header; 0 if it states none."""
    counts = []
    for path in (pair.visible, pair.thermal):
        if not path.is_file():  # reading a FIFO would block
            return 0
        video = cv2.VideoCapture(str(path))
        counts.append(int(video.get(cv2.CAP_PROP_FRAME_COUNT)))
        video.release()
    return max(min(counts), 0)


def fuse_video(
    pair: FilePair,
    out: Path,
    fuse_frame: FuseFrame,
    progress: Callable[[], object],
    rate_hz: float | None = None,
) -> FusedVideo:
    """Write the fused video, at the lower frame rate of the two.

    Args:
        pair: the two videos; both start at the same moment.
        out: mp4 file to write, complete or not at all.
        fuse_frame: (visible BGR, thermal, stamp in ns) to the image to write.
        progress: called after each frame.
        rate_hz: frame rate of a video that states none.

    Raises:
        VideoError: a video cannot be read faithfully, or its rate is unknown.
        InputError: no frames belong together.
    """
    videos: list[VideoFile] = []
    count = 0
    try:
        for path, stream in ((pair.visible, Stream.VISIBLE), (pair.thermal, Stream.THERMAL)):
            videos.append(VideoFile(path, stream, rate_hz))
        visible, thermal = videos
        match = match_videos(visible, thermal, rate_hz)
        with new_video(out, min(match.visible_hz, match.thermal_hz)) as writer:
            for seen, felt in paired_frames(visible, thermal, match.tolerance_ns):
                writer.write(fuse_frame(seen.pixels, felt.pixels, felt.time_ns))
                count += 1
                progress()
            if not count:
                raise InputError(
                    f"{pair.visible} and {pair.thermal} hold no frames of the same time"
                )
    finally:
        for video in videos:
            video.close()
    left = max(0, visible.count - count), max(0, thermal.count - count)
    return FusedVideo(count, left, match.doubt, match.summary())
