# SPDX-License-Identifier: Apache-2.0
"""Two videos into one: frame n meets frame n."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from fusion_ros.cli.pictures import FilePair, InputError
from fusion_ros.files.images import VideoWriter
from fusion_ros.files.writing import new_file_path

#: Where a file does not say.
_USUAL_RATE_HZ = 30.0

FuseFrame = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


def frame_count(pair: FilePair) -> int:
    """How many frames both videos should have, as their files say; 0 where they do not."""
    counts = []
    for path in (pair.visible, pair.thermal):
        video = cv2.VideoCapture(str(path))
        counts.append(int(video.get(cv2.CAP_PROP_FRAME_COUNT)))
        video.release()
    return max(min(counts), 0)


def fuse_video(
    pair: FilePair, out: Path, fuse_frame: FuseFrame, progress: Callable[[], object]
) -> tuple[int, int]:
    """Write the fused video.

    Args:
        pair: the two videos; the result has the visible one's rate.
        out: mp4 file to write, all of it or nothing.
        fuse_frame: (visible BGR, thermal, stamp in ns) to the picture to write.
        progress: called after each frame.

    Returns:
        Frames written, and frames of the longer video that had no partner (0 or 1: the rest of it
        is not read).

    Raises:
        InputError: a video cannot be read, or has no frame.
    """
    visible, thermal = _opened(pair.visible), _opened(pair.thermal)
    rate_hz = visible.get(cv2.CAP_PROP_FPS)
    rate_hz = rate_hz if 0 < rate_hz < 1000 else _USUAL_RATE_HZ
    count = 0
    writer: VideoWriter | None = None
    try:
        with new_file_path(out) as unfinished:
            writer = VideoWriter(unfinished, rate_hz)
            while True:
                (is_seen, seen), (is_felt, felt) = visible.read(), thermal.read()
                if not (is_seen and is_felt):
                    break
                picture = fuse_frame(seen, felt, round(count * 1e9 / rate_hz))
                if picture.ndim == 2:
                    picture = cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
                writer.write(picture)
                count += 1
                progress()
            if not count:
                raise InputError(f"{pair.visible} and {pair.thermal}: no frame could be read")
            writer.finish()
    finally:
        visible.release()
        thermal.release()
        if writer is not None:
            writer.close()
    return count, int(is_seen or is_felt)


def _opened(path: Path) -> cv2.VideoCapture:
    video = cv2.VideoCapture(str(path))
    if not video.isOpened():
        raise InputError(f"{path} is not a video that OpenCV can read")
    return video
