# SPDX-License-Identifier: Apache-2.0
"""Two folders of pictures or two videos as a recording: frame n of one is frame n of the other."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from fusion_ros.accounting import Stream
from fusion_ros.imaging.compressed import read_picture_file
from fusion_ros.imaging.encodings import ChannelOrder, EncodingError, PixelFrame, RejectReason
from fusion_ros.replay.recording import (
    Damage,
    Identity,
    RecordedFrame,
    RecordingError,
    TopicFacts,
    hash_files,
)

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".pgm", ".ppm")
VIDEOS = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v")
DEFAULT_RATE_HZ = 30.0
FIRST_STAMP_NS = 1_700_000_000 * 10**9
"""Where pictures without time begin: fixed, so that two recordings of the same files are equal."""

_VISIBLE_NAMES = ("vis", "visible", "rgb", "vi", "color", "colour", "eo", "visible_hr")
_THERMAL_NAMES = ("ir", "thermal", "infrared", "lwir", "inf", "flir")


class PictureRecording:
    """A folder of pictures or a video for each camera.

    Args:
        visible, thermal: both folders, or both videos. Pictures are paired in the order of their
            names; with different counts the longer one's rest stays without partner.
        rate_hz: frames a second; None takes the video's own, 30 for pictures.

    Raises:
        RecordingError: nothing is there, or nothing can be read.
    """

    def __init__(self, visible: Path, thermal: Path, rate_hz: float | None = None) -> None:
        self.damage: list[Damage] = []
        self._sources = {
            Stream.VISIBLE: _open(visible),
            Stream.THERMAL: _open(thermal),
        }
        source = self._sources[Stream.VISIBLE]
        self.rate_hz = rate_hz or source.rate_hz or DEFAULT_RATE_HZ
        files = [file for source in self._sources.values() for file in source.files]
        digest, size = hash_files(files)
        self.identity = Identity(
            name=_common_name(visible, thermal),
            path=f"{visible} + {thermal}",
            kind="videos" if isinstance(source, _Video) else "pictures",
            sha256=digest,
            size_bytes=size,
            topics=tuple(
                TopicFacts(path.name, source.kind, source.count)
                for path, source in zip((visible, thermal), self._sources.values(), strict=True)
            ),
            visible=visible.name,
            thermal=thermal.name,
            choice=f"given as two {source.kind}s; {self.rate_hz:g} frames a second",
        )

    @property
    def visible_names(self) -> list[str] | None:
        """File names of the visible pictures without suffix, by frame; None for a video."""
        source = self._sources[Stream.VISIBLE]
        return [file.stem for file in source.files] if isinstance(source, _Folder) else None

    def frames(self) -> Iterator[RecordedFrame]:
        """See `Recording`. Videos are decoded in step, a frame at a time."""
        iterators = {stream: source.frames() for stream, source in self._sources.items()}
        index = 0
        while iterators:
            stamp_ns = FIRST_STAMP_NS + round(index * 1e9 / self.rate_hz)
            for stream in list(iterators):
                found = next(iterators[stream], None)
                if found is None:
                    del iterators[stream]
                    continue
                encoding, read = found
                yield RecordedFrame(stream, index, stamp_ns, stamp_ns, encoding, read)
            index += 1
        for source in self._sources.values():
            if isinstance(source, _Video) and index < source.count:
                what = f"{index} of {source.count} frames could be decoded"
                self.damage.append(Damage(source.files[0].name, what))

    def close(self) -> None:
        """See `Recording`."""
        for source in self._sources.values():
            source.close()


class _Folder:
    kind = "folder"
    rate_hz: float | None = None

    def __init__(self, path: Path) -> None:
        self.files = sorted(f for f in path.iterdir() if f.suffix.lower() in PICTURES)
        self.count = len(self.files)
        if not self.files:
            raise RecordingError(f"{path} holds no pictures ({', '.join(PICTURES)})")

    def frames(self) -> Iterator[tuple[str, partial[PixelFrame]]]:
        for file in self.files:
            yield file.suffix[1:].lower(), partial(_read_picture, file)

    def close(self) -> None:
        pass


class _Video:
    kind = "video"

    def __init__(self, path: Path) -> None:
        self.files = [path]
        self._capture = cv2.VideoCapture(str(path))
        if not self._capture.isOpened():
            raise RecordingError(f"{path} cannot be opened as a video")
        self.count = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        rate = float(self._capture.get(cv2.CAP_PROP_FPS))
        self.rate_hz: float | None = rate if 0.1 <= rate <= 1000 else None

    def frames(self) -> Iterator[tuple[str, partial[PixelFrame]]]:
        while True:
            there, pixels = self._capture.read()
            if not there:
                return
            yield "bgr8", partial(_as_is, pixels)

    def close(self) -> None:
        self._capture.release()


def _as_is(pixels: np.ndarray) -> PixelFrame:
    return PixelFrame(pixels, ChannelOrder.BGR)


def _read_picture(file: Path) -> PixelFrame:
    pixels = read_picture_file(file)
    if pixels.dtype not in (np.uint8, np.uint16, np.float32) or (
        pixels.ndim == 3 and pixels.dtype != np.uint8
    ):
        raise EncodingError(
            RejectReason.UNKNOWN_ENCODING,
            f"{file.name} is {pixels.dtype} {pixels.shape}; allowed are 8-bit pictures and grey "
            "ones of 16 bits or float32",
        )
    return PixelFrame(pixels, ChannelOrder.BGR if pixels.ndim == 3 else ChannelOrder.GREY)


def _open(path: Path) -> _Folder | _Video:
    if path.is_dir():
        return _Folder(path)
    if path.is_file():
        return _Video(path)
    raise RecordingError(f"{path} does not exist")


def _common_name(visible: Path, thermal: Path) -> str:
    """What the two are called without what tells them apart."""
    if visible.parent == thermal.parent and visible.is_dir():
        return visible.parent.name
    return visible.stem.replace("_vis", "") or visible.name


def find_partner(path: Path) -> tuple[Path, Path] | None:
    """The visible and the thermal half, where one path names both, else None.

    A folder that holds `vis` and `ir` (or `rgb` and `thermal`, ...), or one of two videos
    `NAME_vis.mp4` and `NAME_ir.mp4`.
    """
    if path.is_dir():
        names = {f.name.lower(): f for f in sorted(path.iterdir()) if f.is_dir()}
        visible = next((names[n] for n in _VISIBLE_NAMES if n in names), None)
        thermal = next((names[n] for n in _THERMAL_NAMES if n in names), None)
        return (visible, thermal) if visible and thermal else None
    for mine, others in ((_VISIBLE_NAMES, _THERMAL_NAMES), (_THERMAL_NAMES, _VISIBLE_NAMES)):
        for name in mine:
            if not path.stem.lower().endswith(f"_{name}"):
                continue
            stem = path.stem[: -len(name)]
            for other in others:
                partner = path.with_name(f"{stem}{other}{path.suffix}")
                if partner.is_file():
                    return (path, partner) if mine is _VISIBLE_NAMES else (partner, path)
    return None
