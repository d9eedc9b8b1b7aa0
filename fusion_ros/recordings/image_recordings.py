# SPDX-License-Identifier: Apache-2.0
"""Recordings of two image folders or two videos, matched by names or by time."""

from __future__ import annotations

import dataclasses
import heapq
import itertools
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from fusion_ros.imaging.encodings import ChannelOrder, PixelFrame
from fusion_ros.recordings.file_pairs import find_pairs
from fusion_ros.recordings.file_times import stamp_of_name
from fusion_ros.recordings.image_files import is_video, orientations_differ, read_frame
from fusion_ros.recordings.match_result import MatchResult, Slot
from fusion_ros.recordings.matching import DEFAULT_MATCHING, MatchError, Matching
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
    TiffStack,
    VideoError,
    VideoFile,
    VideoFrame,
    match_videos,
    open_video,
)
from fusion_ros.streams.ledger import Stream

DEFAULT_RATE_HZ = 30.0
FIRST_STAMP_NS = 1_700_000_000 * 10**9
"""First stamp of images without time stamps. It is fixed, so that results repeat exactly."""


def open_files(
    visible: Path | None,
    thermal: Path | None = None,
    rate_hz: float | None = None,
    matching: Matching = DEFAULT_MATCHING,
) -> ImageRecording | VideoRecording:
    """Open the matched images, or the two videos, that `find_pairs` finds.

    Args:
        visible, thermal, matching: see `find_pairs`.
        rate_hz: frame rate of files without time information; 30 for images by default.

    Raises:
        RecordingError: nothing matches, or several pairs of videos do.
    """
    try:
        match = find_pairs(visible, thermal, matching)
        videos = [pair for pair in match.pairs if pair.is_video]
        if len(videos) < len(match.pairs):
            slots = (s for s in match.slots if not any(map(is_video, filter(None, s[:2]))))
            return ImageRecording(dataclasses.replace(match, slots=tuple(slots)), rate_hz)
        if len(videos) == 1:
            return VideoRecording(videos[0].visible, videos[0].thermal, rate_hz)
    except (MatchError, VideoError) as error:
        raise RecordingError(str(error)) from error
    raise RecordingError(
        f"{visible or matching.pairs} holds {len(videos)} pairs of videos; name one of them"
    )


def _times_in_names(slots: Sequence[Slot]) -> list[int] | None:
    """Return the time in a name of each slot; None if one has none or they do not increase."""
    paths = [slot.visible or slot.thermal for slot in slots]
    times = [stamp_of_name(path.stem) for path in paths if path]
    found = [time for time in times if time is not None]
    is_order = all(a < b for a, b in itertools.pairwise(found))
    return found if len(found) == len(slots) > 1 and is_order else None


class ImageRecording:
    """Matched images of two cameras.

    Args:
        match: the matched files.
        rate_hz: frame rate of images without time stamps. None takes the times in the names, if
            all have one and they increase, else 30.

    Raises:
        RecordingError: the orientation tags of the two cameras differ.
    """

    def __init__(self, match: MatchResult, rate_hz: float | None = None) -> None:
        self.damage: list[Damage] = []
        self._slots = match.slots
        named = None if rate_hz else _times_in_names(match.slots)
        rate_hz = rate_hz or DEFAULT_RATE_HZ
        self._slot_ns = named or [
            FIRST_STAMP_NS + round(at * 1e9 / rate_hz) for at in range(len(match.slots))
        ]
        if turned := orientations_differ(match.pairs[0].visible, match.pairs[0].thermal):
            raise RecordingError(turned)
        sides = (
            [slot.visible for slot in match.slots if slot.visible],
            [slot.thermal for slot in match.slots if slot.thermal],
        )
        spacing = "times in the names" if named else f"{rate_hz:g} frames a second"
        times = "" if match.is_by_time else f"; {spacing}"
        self.identity = _identity(
            [Path(os.path.commonpath([path.parent for path in side])) for side in sides],
            [path for side in sides for path in side],
            kind="images",
            counts=[len(side) for side in sides],
            choice=f"images; {match.summary()}{times}",
            doubts=match.doubts(),
            is_matched=not match.is_by_time,
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
        for slot_ns, (visible, thermal, _, *own_ns) in zip(self._slot_ns, self._slots, strict=True):
            for stream, path, file_ns in zip(Stream, (visible, thermal), own_ns, strict=True):
                if path is not None:
                    found.append((slot_ns if file_ns is None else file_ns, stream, path))
        return sorted(found, key=lambda each: each[0])

    def close(self) -> None:
        """See `Recording`."""


class VideoRecording:
    """Two videos with a common start; `rate_hz` is the rate of videos that do not state one.

    Raises:
        VideoError: a video cannot be read without loss of depth, or its rate is unknown.
    """

    def __init__(self, visible: Path, thermal: Path, rate_hz: float | None = None) -> None:
        self.damage: list[Damage] = []
        self._videos: dict[Stream, VideoFile | TiffStack] = {}
        try:
            for stream, path in zip(Stream, (visible, thermal), strict=True):
                self._videos[stream] = open_video(path, stream, rate_hz)
            seen, felt = self._videos.values()
            self.match = match_videos(seen, felt, rate_hz)
        except BaseException:
            self.close()
            raise
        #: Numbers of frames may be estimates until `frames` has ended.
        self.identity = _identity(
            [visible, thermal],
            [visible, thermal],
            kind="videos",
            counts=[seen.count, felt.count],
            choice=f"two videos; {self.match.summary()}",
            doubts=(self.match.doubt,) if self.match.doubt else (),
        )

    def frames(self) -> Iterator[RecordedFrame]:
        """See `Recording`. Both videos are decoded in step, one frame at a time."""
        decoded = dict.fromkeys(Stream, 0)
        sides = [map(partial(_recorded, s), video.frames()) for s, video in self._videos.items()]
        for frame in heapq.merge(*sides, key=lambda frame: frame.arrived_ns):
            yield frame
            decoded[frame.stream] += 1
        topics = zip(self.identity.topics, self._videos.values(), strict=True)
        known = tuple(dataclasses.replace(topic, messages=v.count) for topic, v in topics)
        self.identity = dataclasses.replace(self.identity, topics=known)
        for stream, video in self._videos.items():
            if decoded[stream] < video.count:
                what = f"{decoded[stream]} of {video.count} frames could be decoded"
                lost = video.count - decoded[stream]
                self.damage.append(Damage(video.path.name, what, DamageKind.MESSAGES, lost))

    def close(self) -> None:
        """See `Recording`."""
        for video in self._videos.values():
            video.close()


def _recorded(stream: Stream, frame: VideoFrame) -> RecordedFrame:
    stamp_ns = FIRST_STAMP_NS + frame.time_ns
    order = ChannelOrder.BGR if frame.pixels.ndim == 3 else ChannelOrder.GREY
    encoding = "bgr8" if frame.pixels.ndim == 3 else "mono16"
    read = partial(PixelFrame, frame.pixels, order)
    return RecordedFrame(stream, frame.index, stamp_ns, stamp_ns, encoding, read)


def _identity(
    paths: Sequence[Path],
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
        names = [f"{path} ({stream.value})" for path, stream in zip(paths, Stream, strict=True)]
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
    if visible.is_dir():
        return Path(os.path.commonpath((visible, thermal))).name or visible.name
    return visible.stem.replace("_vis", "") or visible.name
