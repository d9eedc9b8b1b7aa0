# SPDX-License-Identifier: Apache-2.0
"""Video files: frames in their stored depth with their times."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from fusion_ros.files.limits import MAX_PIXELS
from fusion_ros.files.reading import check_regular
from fusion_ros.imaging.encodings import EncodingError, RejectReason
from fusion_ros.recordings.image_files import TIFF, stack_pages
from fusion_ros.streams.ledger import Stream

_SLOWEST_HZ, _FASTEST_HZ = 0.1, 1000.0
_SAME_RATE = 0.01
"""Relative difference up to which two rates, or two durations, count as equal."""
# FFmpeg's tags of pixel formats with more than 8 bits a sample (libavcodec/raw.c): planar ones as
# "Y1" (grey), a shift and the bits, reversed where big-endian; packed ones by their whole tag.
_DEEP_PLANAR = (b"Y1", b"Y2", b"Y3", b"Y4", b"G3", b"G4")
_DEEP_PACKED = (b"RGB0", b"BGR0", b"RBA@", b"BRA@", b"P010", b"P012", b"P016", b"P210", b"P216")
_GREY16 = b"Y1\x00\x10"
_HEAD_BYTES = 1 << 16


class VideoError(ValueError):
    """Error of a video that cannot be read without loss; it names the file and the remedy."""


@dataclasses.dataclass(frozen=True)
class VideoFrame:
    """A decoded frame. `time_ns` counts from the video's first frame."""

    index: int
    time_ns: int
    pixels: np.ndarray


class VideoFile:
    """A video of one camera.

    Args:
        path: the file.
        stream: the camera. Thermal 16-bit grey is read with 16 bits; other thermal formats of more
            than 8 bits are refused, since decoding would reduce them. Visible colour of more than
            8 bits is reduced, and such grey is refused.
        rate_hz: frame rate of a file that does not state one.

    Raises:
        VideoError: the file is no video, has no rate, or a format that would lose depth.
        OSError: the path is no regular file.
    """

    def __init__(self, path: Path, stream: Stream, rate_hz: float | None = None) -> None:
        check_regular(path)
        self.path = path
        self._capture = cv2.VideoCapture(str(path))
        get = self._capture.get
        if not self._capture.isOpened():
            raise VideoError(f"{path} cannot be opened as a video: it is damaged, or no video")
        #: Number of frames. An estimate until `frames` has ended, if the container has no index.
        self.count = max(0, int(get(cv2.CAP_PROP_FRAME_COUNT)))
        named_hz = float(get(cv2.CAP_PROP_FPS))
        self.named_rate_hz = named_hz if _SLOWEST_HZ <= named_hz <= _FASTEST_HZ else None
        self.rate_hz: float = self.named_rate_hz or rate_hz or 0.0
        pixel_format = struct.pack("<I", int(get(cv2.CAP_PROP_CODEC_PIXEL_FORMAT)) & 0xFFFFFFFF)
        self._is_deep = stream is Stream.THERMAL and bits_of(pixel_format) > 8
        width, height = int(get(cv2.CAP_PROP_FRAME_WIDTH)), int(get(cv2.CAP_PROP_FRAME_HEIGHT))
        problem = ""
        if width * height > MAX_PIXELS:
            problem = f"has frames of {width} x {height}, more than {MAX_PIXELS} pixels"
        elif self._is_deep and not self._keeps_depth(pixel_format):
            problem = (
                f"stores {bits_of(pixel_format)} bits a sample ({pixel_format!r}), which OpenCV "
                f"{cv2.__version__} would reduce to 8; allowed are 8 bits, and 16-bit grey (FFV1 "
                "gray16le): convert it, or write the frames as 16-bit PNG or TIFF"
            )
        elif not self._is_deep and b"Y1" in (pixel_format[:2], pixel_format[:1:-1]):
            problem = (
                f"stores {bits_of(pixel_format)}-bit grey; a visible video is 8-bit grey or "
                "colour. Are visible and thermal swapped?"
            )
        elif not self.rate_hz:
            problem = f"states no frame rate ({named_hz:g}); give it with --frame-rate"
        if problem:
            self.close()
            raise VideoError(f"{path} {problem}")

    def frames(self) -> Iterator[VideoFrame]:
        """Yield frames from the start to the first one that cannot be decoded.

        Raises:
            EncodingError: the depth of a frame differs from that of the container.
        """
        before_ns, first_ns, offset_ns, longest_ns, index = -1, 0, 0, 0, 0
        while True:
            is_there, pixels = self._capture.read()
            if not is_there:
                if index and not has_frame_index(self.path):
                    end_ns = offset_ns + before_ns + longest_ns
                    self.count = index + self._lost_after(end_ns, longest_ns, index)
                return
            expected = np.uint16 if self._is_deep else np.uint8
            if pixels.dtype != expected:
                raise EncodingError(
                    RejectReason.UNKNOWN_ENCODING,
                    f"{self.path.name}: frame {index} is {pixels.dtype}, but the container states "
                    f"{expected.__name__}",
                )
            time_ns = round(float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) * 1e6)
            if index == 0:
                first_ns, offset_ns = time_ns, self._offset_ns()
            time_ns -= first_ns
            if self.named_rate_hz is None or time_ns <= before_ns:  # the container has no times
                time_ns = max(before_ns + 1, round(index * 1e9 / self.rate_hz))
            yield VideoFrame(index, time_ns, pixels)
            longest_ns = max(longest_ns, time_ns - before_ns if index else 0)
            before_ns, index = time_ns, index + 1

    def _offset_ns(self) -> int:
        """Return the time of the first frame within the stated duration."""
        pts = getattr(cv2, "CAP_PROP_PTS", None)  # OpenCV 4.10 and later
        if pts is None or self.named_rate_hz is None:
            return 0
        return max(0, round(self._capture.get(pts) / self.named_rate_hz * 1e9))

    def _lost_after(self, end_ns: int, longest_ns: int, decoded: int) -> int:
        """Return the number of frames between the last decoded one and the stated duration."""
        if self.named_rate_hz is None:
            return 0
        # Without an index OpenCV gives the duration times the rate as the number of frames.
        lost_ns = round(self.count / self.named_rate_hz * 1e9) - end_ns
        return round(lost_ns * decoded / end_ns) if lost_ns > longest_ns / 2 else 0

    def close(self) -> None:
        """Close the file."""
        self._capture.release()

    def _keeps_depth(self, pixel_format: bytes) -> bool:
        if pixel_format != _GREY16:
            return False
        self._capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)
        return self._capture.get(cv2.CAP_PROP_CONVERT_RGB) == 0


class TiffStack:
    """A TIFF file of several images as a video; see `VideoFile`. It never states a rate."""

    named_rate_hz = None

    def __init__(self, path: Path, stream: Stream, rate_hz: float | None = None) -> None:
        self.path = path
        self._stream = stream
        pages = stack_pages(path)
        self.count = len(pages)
        large = max((page.width * page.height for page in pages), default=0)
        if large > MAX_PIXELS:
            raise VideoError(f"{path}: its images have {large} pixels; allowed are {MAX_PIXELS}")
        if rate_hz is None:
            raise VideoError(f"{path} states no frame rate; give it with --frame-rate")
        self.rate_hz = rate_hz

    def frames(self) -> Iterator[VideoFrame]:
        """Yield the images, as `VideoFile.frames`."""
        types = (np.uint8,) if self._stream is Stream.VISIBLE else (np.uint8, np.uint16, np.float32)
        for index in range(self.count):
            done, images = cv2.imreadmulti(str(self.path), index, 1, flags=cv2.IMREAD_UNCHANGED)
            if not done:
                return
            if images[0].dtype not in types:
                raise EncodingError(
                    RejectReason.UNKNOWN_ENCODING,
                    f"{self.path.name}: image {index} holds {images[0].dtype}; allowed here: "
                    f"{', '.join(t.__name__ for t in types)}",
                )
            yield VideoFrame(index, round(index * 1e9 / self.rate_hz), images[0])

    def close(self) -> None:
        """See `VideoFile`."""


def open_video(path: Path, stream: Stream, rate_hz: float | None = None) -> VideoFile | TiffStack:
    """Open a video file, or a TIFF file of several images.

    Raises:
        VideoError: see `VideoFile`.
    """
    kind = TiffStack if path.suffix.lower() in TIFF else VideoFile
    return kind(path, stream, rate_hz)


def has_frame_index(path: Path) -> bool:
    """Return whether a video's container lists its frames: MP4 and MOV that are not fragmented.

    The number that FFmpeg gives for others is an estimate, or includes empty frames (AVI).
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    return head[4:8] == b"ftyp" and b"mvex" not in head


def bits_of(pixel_format: bytes) -> int:
    """Return the bits per sample of FFmpeg's tag of a pixel format; 8 for unknown tags."""
    for tag in (pixel_format, pixel_format[::-1]):
        if tag[:2] in _DEEP_PLANAR and 8 < tag[3] <= 32:
            return tag[3]
    return 16 if {pixel_format, pixel_format[::-1]} & set(_DEEP_PACKED) else 8


@dataclasses.dataclass(frozen=True)
class VideoMatch:
    """Rates and tolerance by which the frames of two videos pair.

    Attributes:
        visible_hz, thermal_hz: frame rates.
        tolerance_ns: largest skew of a pair: half a period of the faster video.
        doubt: evidence against a common start and end, or "".
    """

    visible_hz: float
    thermal_hz: float
    tolerance_ns: int
    doubt: str

    @property
    def is_equal_rate(self) -> bool:
        """Whether both videos have the same rate."""
        return are_equal_rates(self.visible_hz, self.thermal_hz)

    def summary(self) -> str:
        """Return rule and rates in one line."""
        return (
            f"paired by time, from a common start: visible {self.visible_hz:g} Hz, thermal "
            f"{self.thermal_hz:g} Hz"
        )


def match_videos(
    visible: VideoFile | TiffStack, thermal: VideoFile | TiffStack, rate_hz: float | None = None
) -> VideoMatch:
    """Check that the frames of two videos can be paired by time; `rate_hz` is the user's rate.

    Raises:
        VideoError: `rate_hz` contradicts the rates of the files.
    """
    named = [v.named_rate_hz for v in (visible, thermal) if v.named_rate_hz is not None]
    fits = rate_hz is None or all(are_equal_rates(own_hz, rate_hz) for own_hz in named)
    if len(named) == 2 and not fits:
        raise VideoError(
            f"{visible.path} has {named[0]:g} frames a second, {thermal.path} {named[1]:g}, and "
            f"--frame-rate is {rate_hz:g}; it is for files that state none: omit it"
        )
    tolerance_ns = round(0.5e9 / max(visible.rate_hz, thermal.rate_hz))
    lasts = [v.count / v.rate_hz for v in (visible, thermal)]
    doubt = ""
    slack_s = max(_SAME_RATE * max(lasts), 1.0 / min(visible.rate_hz, thermal.rate_hz))
    if min(lasts) > 0 and abs(lasts[0] - lasts[1]) > slack_s:
        doubt = (
            f"{visible.path.name} lasts {lasts[0]:.2f} s ({visible.count} frames), "
            f"{thermal.path.name} {lasts[1]:.2f} s ({thermal.count} frames): frames were lost, or "
            "one of the two started or ended at another time"
        )
    return VideoMatch(visible.rate_hz, thermal.rate_hz, tolerance_ns, doubt)


def are_equal_rates(first_hz: float, second_hz: float) -> bool:
    """Whether two rates differ by no more than 1 %."""
    return abs(first_hz - second_hz) <= _SAME_RATE * max(first_hz, second_hz)
