# SPDX-License-Identifier: Apache-2.0
"""Two videos into one, paired by the times of their frames."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from fusion_ros.files.images import new_video
from fusion_ros.recordings.output_files import FilePair, InputError
from fusion_ros.recordings.video_files import VideoFile, match_videos, paired_frames
from fusion_ros.streams.ledger import Stream

FuseFrame = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


@dataclasses.dataclass(frozen=True)
class FusedVideo:
    """A written video.

    Attributes:
        count: frames written.
        left: frames without a partner of the visible and the thermal video, as the files count.
        doubt: what speaks against one common start and end, or "".
        summary: how the frames were paired.
    """

    count: int
    left: tuple[int, int]
    doubt: str
    summary: str


def frame_count(pair: FilePair) -> int:
    """Frames of the shorter video, as the files say; 0 where they do not."""
    counts = []
    for path in (pair.visible, pair.thermal):
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
    """Write the fused video, at the slower one's rate.

    Args:
        pair: the two videos; both begin at one moment.
        out: mp4 file to write, all of it or nothing.
        fuse_frame: (visible BGR, thermal, stamp in ns) to the picture to write.
        progress: called after each frame.
        rate_hz: frames a second of a video that names none.

    Raises:
        VideoError: a video cannot be read as it is meant, or its rate is not known.
        InputError: no frames pair.
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
                picture = fuse_frame(seen.pixels, felt.pixels, felt.time_ns)
                if picture.ndim == 2:
                    picture = cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
                writer.write(picture)
                count += 1
                progress()
            if not count:
                raise InputError(f"{pair.visible} and {pair.thermal}: no frames pair")
    finally:
        for video in videos:
            video.close()
    left = tuple(max(0, video.count - count) for video in videos)
    return FusedVideo(count, left, match.doubt, match.summary())
