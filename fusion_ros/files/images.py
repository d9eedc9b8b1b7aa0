# SPDX-License-Identifier: Apache-2.0
"""Atomic writing of images and videos; videos are checked for completeness."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from fusion_ros.files.writing import new_file_path, write_bytes


def write_image(path: str | os.PathLike[str], image: np.ndarray) -> None:
    """Replace an image file (HxW, or HxWx3 in BGR order) in the format of its suffix.

    Raises:
        OSError: the file cannot be written; an earlier one is unchanged.
    """
    try:
        done, encoded = cv2.imencode(Path(path).suffix, image)
    except cv2.error as error:
        raise OSError(f"{path}: the image cannot be encoded ({error.err})") from error
    if not done:
        raise OSError(f"{path}: the image cannot be encoded")
    write_bytes(path, encoded.data)


class VideoWriter:
    """Writer of an mp4 file from BGR or grey images of one size."""

    def __init__(self, path: Path, rate_hz: float) -> None:
        self.written = 0
        self._path = path
        self._rate_hz = rate_hz
        self._writer: cv2.VideoWriter | None = None

    def write(self, image: np.ndarray) -> None:
        """Append one image.

        Raises:
            OSError: a video of this size cannot be written.
        """
        if self._writer is None:
            size = (image.shape[1], image.shape[0])
            codec = cv2.VideoWriter.fourcc(*"mp4v")
            self._writer = cv2.VideoWriter(str(self._path), codec, self._rate_hz, size)
            if not self._writer.isOpened():
                raise OSError(f"no mp4 of {size[0]}x{size[1]} can be written to {self._path}")
        self._writer.write(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 else image)
        self.written += 1

    def finish(self) -> None:
        """Close the file and check that it is complete: OpenCV does not report write errors.

        Raises:
            OSError: frames are missing.
        """
        if self._writer is None:
            return
        self.close()
        video = cv2.VideoCapture(str(self._path))
        try:
            there = round(video.get(cv2.CAP_PROP_FRAME_COUNT)) if video.isOpened() else 0
            video.set(cv2.CAP_PROP_POS_FRAMES, max(0, self.written - 1))
            is_whole = there == self.written and video.read()[0]
        finally:
            video.release()
        if not is_whole:
            raise OSError(
                f"{self._path} contains {there} of {self.written} written frames; is the disk full?"
            )

    def close(self) -> None:
        """Close the file without a check."""
        if self._writer is not None:
            self._writer.release()
            self._writer = None


@contextlib.contextmanager
def new_video(path: str | os.PathLike[str], rate_hz: float) -> Iterator[VideoWriter]:
    """Yield a writer of a video that becomes `path` when the body ends without an error.

    Raises:
        OSError: the file cannot be written, or no frame was.
    """
    with new_file_path(path) as unfinished:
        writer = VideoWriter(unfinished, rate_hz)
        try:
            yield writer
            if not writer.written:
                raise OSError(f"{path}: no frame was written")
            writer.finish()
        finally:
            writer.close()
