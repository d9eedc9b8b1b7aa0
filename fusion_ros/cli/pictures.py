# SPDX-License-Identifier: Apache-2.0
"""Pictures and videos on disk: which belong together, reading them, writing whole files only."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np

from fusion_ros.files.images import write_image
from fusion_ros.imaging.compressed import read_picture_file
from fusion_ros.imaging.encodings import EncodingError

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
VIDEOS = (".mp4", ".avi", ".mkv", ".mov")


class InputError(ValueError):
    """Files that cannot be fused; the message names them."""


@dataclasses.dataclass(frozen=True)
class FilePair:
    """A visible and a thermal file that belong together, and the name of their result."""

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
    """What two paths hold: pairs in name order, and files without a partner."""

    pairs: list[FilePair]
    unpaired: list[Path]


def find_pairs(visible: Path, thermal: Path) -> Found:
    """Pair two files, or the files of two folders by their stems.

    Raises:
        InputError: a path is missing, one is a file and one a folder, a file is of a kind that
            cannot be read, or a folder holds two files of one stem.
    """
    for option, path in (("--visible", visible), ("--thermal", thermal)):
        if not path.exists():
            raise InputError(f"{option} {path} does not exist")
    if visible.is_dir() != thermal.is_dir():
        raise InputError(
            f"--visible {visible} and --thermal {thermal}: one is a folder, one a file; "
            "allowed: two files or two folders"
        )
    if visible.is_dir():
        seen, felt = _by_stem(visible), _by_stem(thermal)
        pairs = [_pair(seen[stem], felt[stem]) for stem in sorted(seen.keys() & felt.keys())]
        alone = [seen.get(stem) or felt[stem] for stem in sorted(seen.keys() ^ felt.keys())]
        return Found(pairs, alone)
    for path in (visible, thermal):
        if path.suffix.lower() not in PICTURES + VIDEOS:
            raise InputError(f"{path}: allowed are {', '.join(PICTURES + VIDEOS)}")
    return Found([_pair(visible, thermal)], [])


def _pair(visible: Path, thermal: Path) -> FilePair:
    if (visible.suffix.lower() in VIDEOS) != (thermal.suffix.lower() in VIDEOS):
        raise InputError(f"{visible} and {thermal}: one is a video, one a picture")
    return FilePair(visible, thermal)


def _by_stem(folder: Path) -> dict[str, Path]:
    result: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.suffix.lower() not in PICTURES + VIDEOS:
            continue
        if path.stem in result:
            raise InputError(
                f"{folder} holds {result[path.stem].name} and {path.name}: which is meant by "
                f"{path.stem!r}? Keep one of them"
            )
        result[path.stem] = path
    return result


def read_visible(path: Path) -> np.ndarray:
    """A picture as `uint8` HxW, or HxWx3 in BGR order; 16 bits are brought to 8, alpha dropped."""
    picture = _read(path)
    if picture.ndim == 3 and picture.shape[2] == 4:
        picture = np.ascontiguousarray(picture[..., :3])
    if picture.dtype == np.uint16:
        return cv2.convertScaleAbs(picture, alpha=1.0 / 257.0)
    if picture.dtype != np.uint8:
        raise InputError(f"{path} holds {picture.dtype}; a visible picture has 8 or 16 bits")
    return picture


def read_thermal(path: Path) -> np.ndarray:
    """A thermal picture HxW as it was stored: `uint8`, `uint16` or `float32`."""
    picture = _read(path)
    if picture.ndim == 3:  # grey stored as colour
        picture = cv2.cvtColor(np.ascontiguousarray(picture[..., :3]), cv2.COLOR_BGR2GRAY)
    if picture.dtype == np.float64:
        picture = picture.astype(np.float32)
    if picture.dtype not in (np.uint8, np.uint16, np.float32):
        raise InputError(
            f"{path} holds {picture.dtype}; a thermal picture has 8 or 16 bits or is float32"
        )
    return picture


def _read(path: Path) -> np.ndarray:
    try:
        return read_picture_file(path)
    except EncodingError as error:
        raise InputError(f"{path} is not a picture that can be read: {error}") from error


def write_picture(path: Path, picture: np.ndarray) -> None:
    """Write a `uint8` picture (HxW, or HxWx3 BGR), all of it or nothing."""
    write_image(path, picture)


def side_by_side(visible: np.ndarray, thermal: np.ndarray, fused: np.ndarray) -> np.ndarray:
    """Three pictures of one size, left to right; colour where one of them has it."""
    pictures = [visible, thermal, fused]
    if any(picture.ndim == 3 for picture in pictures):
        pictures = [p if p.ndim == 3 else cv2.cvtColor(p, cv2.COLOR_GRAY2BGR) for p in pictures]
    return np.hstack(pictures)
