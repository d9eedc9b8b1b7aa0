# SPDX-License-Identifier: Apache-2.0
"""Recordings of two image folders or two videos, matched by names or by time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from fusion_ros.recordings.file_pairs import SUFFIXES, InputError, find_pairs
from fusion_ros.recordings.image_files import (
    PICTURES,
    orientations_differ,
    read_frame,
)
from fusion_ros.recordings.matching import (
    DEFAULT_TOLERANCE_MS,
    MatchError,
    MatchResult,
    Rule,
    stamp_of_name,
)
from fusion_ros.recordings.recording import (
    Damage,
    DamageKind,
    Identity,
    RecordedFrame,
    RecordingError,
    TopicFacts,
    hash_files,
)
from fusion_ros.recordings.video_files import (
    VideoError,
    VideoFile,
    as_frame,
    match_videos,
    merged_frames,
)
from fusion_ros.streams.ledger import Stream

DEFAULT_RATE_HZ = 30.0
FIRST_STAMP_NS = 1_700_000_000 * 10**9
"""First stamp of images without time stamps. It is fixed, so that results repeat exactly."""

_VISIBLE_NAMES = ("vis", "visible", "rgb", "vi", "color", "colour", "eo", "visible_hr")
_THERMAL_NAMES = ("ir", "thermal", "infrared", "lwir", "inf", "flir")


def open_pictures(
    visible: Path,
    thermal: Path,
    rate_hz: float | None = None,
    *,
    by_order: bool = False,
    tolerance_ms: float = DEFAULT_TOLERANCE_MS,
) -> PictureRecording | VideoRecording:
    """Open two image folders, two images, or two videos.

    Args:
        visible, thermal: paths of the same kind.
        rate_hz: frame rate of files without time information; 30 for images by default.
        by_order: match images by position in the natural order of their names.
        tolerance_ms: largest difference of two time stamps in names.

    Raises:
        RecordingError: a path is missing, the kinds differ, or no frames match.
    """
    suffixes = PICTURES if visible.is_dir() else SUFFIXES
    try:
        found = find_pairs(
            visible, thermal, by_order=by_order, tolerance_ms=tolerance_ms, suffixes=suffixes
        )
        if found.pairs[0].is_video:
            return VideoRecording(visible, thermal, rate_hz)
        return PictureRecording(visible, thermal, found.match, rate_hz)
    except (InputError, MatchError, VideoError) as error:
        raise RecordingError(str(error)) from error


class PictureRecording:
    """Matched images of two cameras.

    Args:
        visible, thermal: paths as given by the user.
        match: the matched files.
        rate_hz: frame rate of images without a time stamp in their names.

    Raises:
        RecordingError: the orientation tags of the two cameras differ.
    """

    def __init__(
        self, visible: Path, thermal: Path, match: MatchResult, rate_hz: float | None = None
    ) -> None:
        self.damage: list[Damage] = []
        self.rate_hz = rate_hz or DEFAULT_RATE_HZ
        self._match = match
        if turned := orientations_differ(match.pairs[0].visible, match.pairs[0].thermal):
            raise RecordingError(turned)
        counts = [
            sum(getattr(slot, stream.value) is not None for slot in match.slots)
            for stream in (Stream.VISIBLE, Stream.THERMAL)
        ]
        times = "" if match.rule is Rule.STAMPS else f"; {self.rate_hz:g} frames a second"
        self.identity = _identity(
            (visible, thermal),
            [path for slot in match.slots for path in (slot.visible, slot.thermal) if path],
            kind="pictures",
            counts=counts,
            choice=f"given as two folders; {match.summary()}{times}",
            doubts=match.doubts(),
            is_matched=match.rule is not Rule.STAMPS,
        )

    def frames(self) -> Iterator[RecordedFrame]:
        """See `Recording`."""
        counts = dict.fromkeys(Stream, 0)
        for stamp_ns, stream, path in self._files():
            encoding, read = path.suffix[1:].lower(), partial(read_frame, path, stream)
            yield RecordedFrame(
                stream, counts[stream], stamp_ns, stamp_ns, encoding, read, name=path.name
            )
            counts[stream] += 1

    @property
    def visible_names(self) -> list[str]:
        """Names of the visible files without suffix, by frame index."""
        return [path.stem for _, stream, path in self._files() if stream is Stream.VISIBLE]

    def _files(self) -> list[tuple[int, Stream, Path]]:
        """Return stamp, stream and file, sorted by stamp."""
        found = []
        for at, slot in enumerate(self._match.slots):
            slot_ns = FIRST_STAMP_NS + round(at * 1e9 / self.rate_hz)
            for stream, path in ((Stream.VISIBLE, slot.visible), (Stream.THERMAL, slot.thermal)):
                if path is not None:
                    own_ns = stamp_of_name(path.stem) if self._match.rule is Rule.STAMPS else None
                    found.append((slot_ns if own_ns is None else own_ns, stream, path))
        return sorted(found, key=lambda each: each[0])

    def close(self) -> None:
        """See `Recording`."""


class VideoRecording:
    """Two videos with a common start.

    Args:
        visible, thermal: video files.
        rate_hz: frame rate of videos that do not state one.

    Raises:
        VideoError: a video cannot be read without loss of depth, or its rate is unknown.
    """

    def __init__(self, visible: Path, thermal: Path, rate_hz: float | None = None) -> None:
        self.damage: list[Damage] = []
        seen = VideoFile(visible, Stream.VISIBLE, rate_hz)
        felt = VideoFile(thermal, Stream.THERMAL, rate_hz)
        self._videos = {Stream.VISIBLE: seen, Stream.THERMAL: felt}
        match = match_videos(seen, felt, rate_hz)
        self.rate_hz = match.visible_hz
        self.identity = _identity(
            (visible, thermal),
            [visible, thermal],
            kind="videos",
            counts=[video.count for video in self._videos.values()],
            choice=f"given as two videos; {match.summary()}",
            doubts=(match.doubt,) if match.doubt else (),
        )

    def frames(self) -> Iterator[RecordedFrame]:
        """See `Recording`. Both videos are decoded in step, one frame at a time."""
        decoded = dict.fromkeys(Stream, 0)
        for stream, frame in merged_frames(*self._videos.values()):
            stamp_ns = FIRST_STAMP_NS + frame.time_ns
            encoding = "bgr8" if frame.pixels.ndim == 3 else "mono16"
            read = partial(as_frame, frame.pixels)
            yield RecordedFrame(stream, frame.index, stamp_ns, stamp_ns, encoding, read)
            decoded[stream] += 1
        for stream, video in self._videos.items():
            if decoded[stream] < video.count:
                what = f"{decoded[stream]} of {video.count} frames could be decoded"
                lost = video.count - decoded[stream]
                self.damage.append(Damage(video.path.name, what, DamageKind.MESSAGES, lost))

    def close(self) -> None:
        """See `Recording`."""
        for video in self._videos.values():
            video.close()


def _identity(
    paths: tuple[Path, Path],
    files: list[Path],
    *,
    kind: str,
    counts: list[int],
    choice: str,
    doubts: tuple[str, ...],
    is_matched: bool = False,
) -> Identity:
    visible, thermal = paths
    digest, size = hash_files(sorted(files))
    message_type = "video" if kind == "videos" else "folder"
    names = [path.name for path in paths]
    if names[0] == names[1]:
        names = [str(path) for path in paths]
    return Identity(
        name=_common_name(visible, thermal),
        path=f"{visible} + {thermal}",
        kind=kind,
        sha256=digest,
        size_bytes=size,
        topics=tuple(
            TopicFacts(name, message_type, count) for name, count in zip(names, counts, strict=True)
        ),
        visible=names[0],
        thermal=names[1],
        choice=choice,
        doubts=doubts,
        is_matched=is_matched,
    )


def _common_name(visible: Path, thermal: Path) -> str:
    """Return a name for both: the common folder, or the visible name without its suffix."""
    if visible.parent == thermal.parent and visible.is_dir():
        return visible.parent.name
    return visible.stem.replace("_vis", "") or visible.name


def find_partner(path: Path) -> tuple[Path, Path] | None:
    """Return the visible and the thermal path that belong to one given path, or None.

    The given path is a folder with the sub-folders `vis` and `ir` (or `rgb` and `thermal`, ...),
    or one of two videos `NAME_vis.mp4` and `NAME_ir.mp4`.
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
