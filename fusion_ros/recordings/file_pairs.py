# SPDX-License-Identifier: Apache-2.0
"""Pairs of image and video files that a user names by files, folders or a list."""

from __future__ import annotations

import contextlib
import csv
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from fusion_ros.files.limits import MAX_TEXT_BYTES
from fusion_ros.files.reading import parse_text, read_bytes
from fusion_ros.recordings.image_files import (
    IMAGES,
    NOT_READ,
    VIDEOS,
    has_visible_inside,
    is_video,
)
from fusion_ros.recordings.match_result import LIST, FilePair, LeftOver, MatchResult, Slot
from fusion_ros.recordings.matching import (
    DEFAULT_MATCHING,
    MatchError,
    Matching,
    match_files,
    match_folder,
    refuse_same,
)

GIVEN = "the two given files"
EMBEDDED = "the visible image inside each file (FLIR)"


def find_pairs(
    visible: Path | None,
    thermal: Path | None = None,
    matching: Matching = DEFAULT_MATCHING,
) -> MatchResult:
    """Pair two files, the files of two folders, or those of one folder that holds both cameras.

    Folders are searched with their sub-folders. Images match images, and videos match videos.

    Args:
        visible: file or folder of the visible camera, or of both; None with `matching.pairs`.
        thermal: file or folder of the thermal camera; None searches it by the names.
        matching: choices of the user.

    Raises:
        MatchError: a path is missing, has another type, nothing matches, or one file is a pair.
    """
    found = _found(visible, thermal, matching)
    for pair in found.pairs:
        if pair.rule != EMBEDDED:
            refuse_same(pair.visible, pair.thermal)
    return found


def _found(visible: Path | None, thermal: Path | None, matching: Matching) -> MatchResult:
    if matching.pairs is not None:
        return _listed_pairs(matching.pairs, matching)
    if visible is None:
        raise MatchError("no input: give files, a folder, or --pairs")
    for path in filter(None, (visible, thermal)):
        if not path.exists():
            raise MatchError(f"{path} does not exist")
        if not path.is_dir() and path.suffix.lower() not in matching.suffixes:
            advice = NOT_READ.get(path.suffix.lower())
            why = f"{advice}; " if advice else ""
            raise MatchError(f"{path}: {why}allowed are {', '.join(matching.suffixes)}")
    if thermal is None:
        return _in_folder(visible, matching) if visible.is_dir() else _partner(visible)
    if visible.is_dir() != thermal.is_dir():
        raise MatchError(
            f"{visible} and {thermal}: one is a folder, one a file; allowed are two files or two "
            "folders"
        )
    refuse_same(visible, thermal)
    if visible.is_dir():
        return _of_folders(visible, thermal, matching)
    _refuse_two_types(visible, thermal)
    return MatchResult((Slot(visible, thermal, GIVEN),))


def files_below(folder: Path, without: Path | None = None) -> Iterator[Path]:
    """Yield the files of a folder and its sub-folders, also through links, without hidden ones.

    `without` is a sub-folder that is left out.
    """
    entered = {os.path.realpath(folder)} | ({os.path.realpath(without)} if without else set())
    for place, folders, names in os.walk(folder, followlinks=True):
        visible = {name: os.path.realpath(Path(place, name)) for name in sorted(folders)}
        folders[:] = [n for n, real in visible.items() if n[0] != "." and real not in entered]
        entered |= {visible[name] for name in folders}
        yield from (Path(place, name) for name in sorted(names) if not name.startswith("."))


def result_names(pairs: Sequence[FilePair]) -> list[str]:
    """Return the paths of the visible files below their common folder, without suffix.

    Raises:
        MatchError: two results would have one name.
    """
    folders = [os.path.abspath(pair.visible.parent) for pair in pairs]
    common = os.path.commonpath(folders) if folders else ""
    names = [
        Path(os.path.relpath(folder, common), pair.visible.stem).as_posix()
        for folder, pair in zip(folders, pairs, strict=True)
    ]
    for name, count in Counter(names).items():
        if count > 1:
            raise MatchError(f"{count} results would be named {name!r}; rename the inputs")
    return names


def _by_type(files: Sequence[Path], matching: Matching) -> list[list[Path]]:
    """Return the images and the videos that are read."""
    read = [file for file in files if file.suffix.lower() in matching.suffixes]
    return [[f for f in read if f.suffix.lower() in types] for types in (IMAGES, VIDEOS)]


def _of_folders(visible: Path, thermal: Path, matching: Matching) -> MatchResult:
    seen, felt = (list(files_below(folder, matching.without)) for folder in (visible, thermal))
    by_type = [_by_type(files, matching) for files in (seen, felt)]
    for path, found in zip((visible, thermal), by_type, strict=True):
        if not any(found):
            raise _none_of(path, matching)
    results = [
        match_files(one, other, matching, roots=(visible, thermal))
        for one, other in zip(*by_type, strict=True)
        if one and other
    ]
    if not results:
        raise MatchError("one folder holds images only, and the other videos only")
    return _joined(results, [*seen, *felt], matching)


def _none_of(path: Path, matching: Matching) -> MatchError:
    return MatchError(f"{path} contains none of {', '.join(matching.suffixes)}")


def _in_folder(folder: Path, matching: Matching) -> MatchResult:
    files = list(files_below(folder, matching.without))
    results, refused = [], []
    for found in filter(None, _by_type(files, matching)):
        try:
            results.append(match_folder(found, folder, matching))
        except MatchError as error:
            embedded = tuple(Slot(f, f, EMBEDDED) for f in found if has_visible_inside(f))
            if embedded:
                results.append(MatchResult(embedded))
            else:
                refused.append(error)
    if not results:
        raise refused[0] if refused else _none_of(folder, matching)
    return _joined(results, files, matching)


def _partner(path: Path) -> MatchResult:
    """Return the pair of a file and the one beside it whose name a convention gives."""
    beside = [file for file in path.parent.iterdir() if file.suffix.lower() == path.suffix.lower()]
    with_partner: list[FilePair] = []
    if len(beside) > 1:
        with contextlib.suppress(MatchError):
            pairs = match_folder(beside, path.parent).pairs
            with_partner = [pair for pair in pairs if path in pair]
    if not with_partner and has_visible_inside(path):
        return MatchResult((Slot(path, path, EMBEDDED),))
    if not with_partner:
        raise MatchError(
            f"{path} is one file, and no convention (_vis and _ir, ...) names its thermal partner "
            "beside it; name it with --thermal"
        )
    return MatchResult(tuple(Slot(*pair) for pair in with_partner))


def _joined(
    results: Sequence[MatchResult], files: Sequence[Path], matching: Matching
) -> MatchResult:
    """Join the results of several types, and add the files that are in none of them."""
    slots = tuple(slot for result in results for slot in result.slots)
    unused = [each for result in results for each in result.unused]
    known = {path for slot in slots for path in slot[:2]} | {each.path for each in unused}
    for path in files:
        suffix = path.suffix.lower()
        if path not in known:
            is_read = suffix in matching.suffixes
            why = "no file of this type to match" if is_read else NOT_READ.get(suffix, "not read")
            unused.append(LeftOver(path, f"type {suffix or 'unknown'}: {why}"))
    return MatchResult(slots, tuple(unused))


def _listed_pairs(file: Path, matching: Matching) -> MatchResult:
    """Read pairs from a CSV file: visible and thermal path, relative to the folder of the file.

    Raises:
        MatchError: a row has no two paths, or a path is missing, of another type or listed twice.
    """
    text = parse_text(read_bytes(file, MAX_TEXT_BYTES))
    slots: list[Slot] = []
    seen: set[Path] = set()
    for number, row in enumerate(csv.reader(text.splitlines()), 1):
        cells = [cell.strip() for cell in row]
        if not any(cells) or (number == 1 and cells[:2] == ["visible", "thermal"]):
            continue
        where = f"{file}, row {number}"
        if len(cells) < 2:
            raise MatchError(f"{where} has one cell; allowed is: visible path, thermal path")
        visible, thermal = (file.parent / cell for cell in cells[:2])
        for path in (visible, thermal):
            if not path.is_file() or path.suffix.lower() not in matching.suffixes:
                raise MatchError(f"{where}: {path} is no file of {', '.join(matching.suffixes)}")
        _refuse_two_types(visible, thermal)
        if visible in seen:
            raise MatchError(f"{where}: {visible} is listed twice")
        seen.add(visible)
        slots.append(Slot(visible, thermal, LIST))
    if not slots:
        raise MatchError(f"{file} lists no pairs; allowed are rows of: visible path, thermal path")
    return MatchResult(tuple(slots))


def _refuse_two_types(visible: Path, thermal: Path) -> None:
    if is_video(visible) != is_video(thermal):
        raise MatchError(f"{visible} and {thermal}: one is a video, one an image")
