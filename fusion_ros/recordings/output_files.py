# SPDX-License-Identifier: Apache-2.0
"""Pairs of image and video files that two paths name, and the names of their results."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from fusion_ros.recordings.image_files import PICTURES, VIDEOS
from fusion_ros.recordings.matching import (
    DEFAULT_TOLERANCE_MS,
    MatchResult,
    match_files,
    refuse_same,
)


class InputError(ValueError):
    """Error of files that cannot be fused; it names them."""


@dataclasses.dataclass(frozen=True)
class FilePair:
    """A visible file, its thermal partner, and the name of their result."""

    visible: Path
    thermal: Path

    @property
    def is_video(self) -> bool:
        return self.visible.suffix.lower() in VIDEOS

    @property
    def result_name(self) -> str:
        return self.visible.stem + (".mp4" if self.is_video else ".png")


@dataclasses.dataclass(frozen=True)
class Found:
    """Pairs of files in name order; `match` holds the rule and the files without a partner."""

    pairs: list[FilePair]
    match: MatchResult


def find_pairs(
    visible: Path,
    thermal: Path,
    *,
    by_order: bool = False,
    tolerance_ms: float = DEFAULT_TOLERANCE_MS,
) -> Found:
    """Pair two files, or the files of two folders, see `match_files`.

    Raises:
        InputError: a path is missing, one is a file and one a folder, or a file has an unsupported
            suffix.
        MatchError: no names match, or both paths are the same.
    """
    for option, path in (("--visible", visible), ("--thermal", thermal)):
        if not path.exists():
            raise InputError(f"{option} {path} does not exist")
    if visible.is_dir() != thermal.is_dir():
        raise InputError(
            f"--visible {visible} and --thermal {thermal}: one is a folder, one a file; "
            "allowed: two files or two folders"
        )
    refuse_same(visible, thermal)
    if visible.is_dir():
        files = [_readable(folder) for folder in (visible, thermal)]
        match = match_files(*files, by_order=by_order, tolerance_ms=tolerance_ms)
    else:
        for path in (visible, thermal):
            if path.suffix.lower() not in PICTURES + VIDEOS:
                raise InputError(f"{path}: allowed are {', '.join(PICTURES + VIDEOS)}")
        match = match_files([visible], [thermal], by_order=True)  # two named files form a pair
    return Found([_pair(pair.visible, pair.thermal) for pair in match.pairs], match)


def _pair(visible: Path, thermal: Path) -> FilePair:
    if (visible.suffix.lower() in VIDEOS) != (thermal.suffix.lower() in VIDEOS):
        raise InputError(f"{visible} and {thermal}: one is a video, one an image")
    return FilePair(visible, thermal)


def _readable(folder: Path) -> list[Path]:
    files = [
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and path.suffix.lower() in PICTURES + VIDEOS
    ]
    if not files:
        raise InputError(f"{folder} holds none of {', '.join(PICTURES + VIDEOS)}")
    return files
