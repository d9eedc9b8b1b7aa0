# SPDX-License-Identifier: Apache-2.0
"""Pairs of image and video files that two paths name, and the names of their results."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from pathlib import Path

from fusion_ros.recordings.image_files import PICTURES, VIDEOS
from fusion_ros.recordings.matching import (
    DEFAULT_TOLERANCE_MS,
    MatchResult,
    match_files,
    refuse_same,
)

SUFFIXES = PICTURES + VIDEOS


class InputError(ValueError):
    """Error of files that cannot be fused; it names them."""


@dataclasses.dataclass(frozen=True)
class FilePair:
    """A visible file, its thermal partner, and the name of their result."""

    visible: Path
    thermal: Path

    @property
    def is_video(self) -> bool:
        """Whether the files are videos."""
        return self.visible.suffix.lower() in VIDEOS

    @property
    def result_name(self) -> str:
        """Name of the fused file."""
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
    suffixes: Collection[str] = SUFFIXES,
) -> Found:
    """Pair two files, or the files of two folders, see `match_files`.

    Args:
        visible, thermal: two files or two folders.
        by_order: match by position in the natural order of the names.
        tolerance_ms: largest difference of two time stamps in names.
        suffixes: suffixes of the files that are paired.

    Raises:
        InputError: a path is missing, one is a file and one a folder, or a suffix is not allowed.
        MatchError: no names match, or both paths are the same.
    """
    for path in (visible, thermal):
        if not path.exists():
            raise InputError(f"{path} does not exist")
    if visible.is_dir() != thermal.is_dir():
        raise InputError(
            f"{visible} and {thermal}: one is a folder, one a file; allowed are two files or two "
            "folders"
        )
    refuse_same(visible, thermal)
    files = [files_in(path, suffixes) if path.is_dir() else [path] for path in (visible, thermal)]
    for path, found in zip((visible, thermal), files, strict=True):
        if not found:
            raise InputError(f"{path} contains none of {', '.join(suffixes)}")
        if found[0].suffix.lower() not in suffixes:
            raise InputError(f"{path}: allowed are {', '.join(suffixes)}")
    by_order = by_order or not visible.is_dir()  # two named files form a pair
    match = match_files(*files, by_order=by_order, tolerance_ms=tolerance_ms)
    return Found([_pair(pair.visible, pair.thermal) for pair in match.pairs], match)


def files_in(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """Return the files of a folder with certain suffixes, without hidden files."""
    return [
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and path.suffix.lower() in suffixes
    ]


def _pair(visible: Path, thermal: Path) -> FilePair:
    if (visible.suffix.lower() in VIDEOS) != (thermal.suffix.lower() in VIDEOS):
        raise InputError(f"{visible} and {thermal}: one is a video, one an image")
    return FilePair(visible, thermal)
