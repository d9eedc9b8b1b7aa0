# SPDX-License-Identifier: Apache-2.0
"""Matching of visible and thermal files: one set of rules for all commands.

Files match by equal names, by a naming convention, by equal numbers in their names, or by the time
stamps in their names or in EXIF. Positions in the folders count only where the caller requests it.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fusion_ros.recordings.conventions import CONVENTIONS, Convention, convention_of
from fusion_ros.recordings.file_times import exif_stamp, stamp_of_name
from fusion_ros.recordings.image_files import IMAGES, VIDEOS
from fusion_ros.recordings.match_result import (
    EXIF,
    NAMES,
    NUMBERS,
    ORDER,
    STAMPS,
    LeftOver,
    MatchResult,
    Slot,
    first_names,
)
from fusion_ros.streams.ledger import FrameLedger, Stream
from fusion_ros.streams.pairer import FramePairer

DEFAULT_TOLERANCE_MS = 20.0
"""Default of the largest difference of two time stamps of files."""


class MatchError(ValueError):
    """Error of files that cannot be matched; it states counts and the first unmatched names."""


@dataclasses.dataclass(frozen=True)
class Matching:
    """Choices of the user about the matching of files.

    Attributes:
        by_order: match by position in natural order of the names; counts must be equal.
        tolerance_ms: largest difference of two time stamps of files.
        pattern: names of both cameras with {} for the common part, in place of the conventions.
        pairs: CSV file with a visible and a thermal path in each row; see `file_pairs`.
        without: sub-folder that is not searched, such as that of the results.
        suffixes: suffixes of the files that are read.
    """

    by_order: bool = False
    tolerance_ms: float = DEFAULT_TOLERANCE_MS
    pattern: tuple[str, str] | None = None
    pairs: Path | None = None
    without: Path | None = None
    suffixes: tuple[str, ...] = IMAGES + VIDEOS


DEFAULT_MATCHING = Matching()


class _File(NamedTuple):
    path: Path
    name: str
    """Path below its folder, without suffix."""


_Files = Sequence[_File]


def match_files(
    visible: Sequence[Path],
    thermal: Sequence[Path],
    matching: Matching = DEFAULT_MATCHING,
    *,
    roots: tuple[Path, Path] | None = None,
) -> MatchResult:
    """Match the files of two cameras.

    The rule that matches most files is taken, and the earlier one of equals. EXIF is read only if
    no other rule matches.

    Args:
        visible, thermal: the files, in any order.
        matching: choices of the user.
        roots: folders below which paths are compared; by default the names alone are.

    Raises:
        MatchError: no rule matches any file, a name stands for two files, or counts differ with
            `by_order`.
    """
    seen = _named(visible, roots and roots[0])
    felt = _named(thermal, roots and roots[1])
    for files in (seen, felt):
        _refuse_doubles(files)
    if matching.by_order:
        return _by_order(seen, felt)
    found: list[MatchResult] = []
    if seen and felt:
        if matching.pattern is None:
            found.append(_by_keys(NAMES, *({f: f.name for f in files} for files in (seen, felt))))
        found += [_by_convention(each, seen, felt) for each in _conventions(matching)]
    if matching.pattern is None:
        found += [_by_numbers(seen, felt), _by_times(STAMPS, seen, felt, matching)]
        if not any(result.pairs for result in found):
            found.append(_by_times(EXIF, seen, felt, matching))
    result = max(found, key=lambda result: len(result.pairs))  # the first of equals
    if not result.pairs:
        raise MatchError(_no_match(seen, felt))
    return result


def match_folder(
    files: Sequence[Path], root: Path, matching: Matching = DEFAULT_MATCHING
) -> MatchResult:
    """Match the files of one folder that holds both cameras, by naming conventions.

    Several conventions may apply to different files. Where names tell the cameras apart but not
    the moments, the other rules of `match_files` decide.

    Raises:
        MatchError: no convention distinguishes the cameras, or nothing matches.
    """
    named = _named(files, root)
    conventions = _conventions(matching)
    slots: list[Slot] = []
    used: list[Convention] = []
    paired: set[Path | None] = set()
    # Each convention sees all files: one that is unique only among the rest belongs to no pair.
    found = [] if matching.by_order else [_by_convention(c, named, named) for c in conventions]
    while found:
        new = [[s for s in result.slots if s.visible and s.thermal] for result in found]
        new = [[s for s in of_rule if paired.isdisjoint(s[:2])] for of_rule in new]
        best = max(new, key=len)
        if not best:
            break
        used.append(conventions[new.index(best)])
        slots += best
        paired |= {path for slot in best for path in slot[:2]}
    if not slots:
        return _match_split(named, root, matching)
    unused = []
    for path, name in (file for file in named if file.path not in paired):
        fits = ((c, at) for c in used for at in (0, 1) if c.key(name, at) is not None)
        convention, camera = next(fits, (None, 0))
        if convention is None:
            unused.append(LeftOver(path, "its name is that of neither camera"))
        else:
            visible, thermal = (path if at == camera else None for at in (0, 1))
            slots.append(Slot(visible, thermal, convention.rule))
    names = {file.path: file.name for file in named}
    slots.sort(key=lambda slot: natural_key(names[slot.visible or slot.thermal or root]))
    return MatchResult(tuple(slots), tuple(unused))


def _match_split(files: _Files, root: Path, matching: Matching) -> MatchResult:
    """Match by other rules than names the files whose names tell the cameras apart."""
    splits = []
    for convention in _conventions(matching):
        keyed = [(f.path, [convention.key(f.name, camera) for camera in (0, 1)]) for f in files]
        seen = [path for path, (v, t) in keyed if v is not None and t is None]
        felt = [path for path, (v, t) in keyed if t is not None and v is None]
        if seen and felt:
            splits.append((seen, felt))
    if not splits:
        raise MatchError(
            f"{root} holds {len(files)} files ({first_names([file.path for file in files])}), and "
            "no naming convention distinguishes the cameras; name the thermal folder, too "
            "(--thermal), or use --pattern or --pairs"
        )
    splits.sort(key=lambda split: -min(map(len, split)))
    errors = []
    for seen, felt in splits:
        try:
            result = match_files(seen, felt, matching, roots=(root, root))
        except MatchError as error:
            errors.append(error)
            continue
        known = {*seen, *felt}
        rest = [file.path for file in files if file.path not in known]
        unused = tuple(LeftOver(path, "its name is that of neither camera") for path in rest)
        return dataclasses.replace(result, unused=unused)
    raise errors[0]


def refuse_same(visible: Path, thermal: Path) -> None:
    """Refuse two paths of the same file or folder, also through links.

    Raises:
        MatchError: both paths lead to one file or folder.
    """
    try:
        same = visible.samefile(thermal)
    except OSError:
        same = False  # readers report missing paths
    if same:
        raise MatchError(
            f"visible {visible} and thermal {thermal} are the same "
            + ("folder; name a folder of both cameras once" if visible.is_dir() else "file")
        )


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key in which numbers in names compare by value: 2 before 10."""
    parts = re.split(r"(\d+)", name.lower())
    return tuple((0, int(p), p) if p.isdecimal() else (1, 0, p) for p in parts if p)


def _conventions(matching: Matching) -> tuple[Convention, ...]:
    return CONVENTIONS if matching.pattern is None else (convention_of(*matching.pattern),)


def _named(files: Iterable[Path], root: Path | None) -> list[_File]:
    """Return the files in natural order of their names."""
    named = [
        _File(
            path, (path.relative_to(root) if root else Path(path.name)).with_suffix("").as_posix()
        )
        for path in files
    ]
    return sorted(named, key=lambda file: (natural_key(file.name), file.path.name))


def _refuse_doubles(files: _Files) -> None:
    for (other, one_name), (path, name) in itertools.pairwise(files):  # in order of their names
        if one_name == name:
            raise MatchError(
                f"{path.parent} holds {other.name} and {path.name}, so that {path.stem!r} is "
                "ambiguous; remove one of them"
            )


def _by_keys(rule: str, seen: Mapping[_File, Any], felt: Mapping[_File, Any]) -> MatchResult:
    """Pair files with equal keys; None, and a key of two files of one camera, match nothing."""
    counts = [Counter(keys.values()) for keys in (seen, felt)]
    if not any(k is not None and n == counts[1].get(k) == 1 for k, n in counts[0].items()):
        return MatchResult(())  # without sorting: most rules match nothing
    moments: dict[Any, list[_File | None]] = {}
    for camera, keys in enumerate((seen, felt)):
        for file, key in keys.items():
            alone = key is None or counts[camera][key] > 1
            moments.setdefault((file.name, camera) if alone else key, [None, None])[camera] = file

    def order(key: Any) -> tuple[Any, ...]:
        text = key[0] if isinstance(key[0], str) and isinstance(key, tuple) else key
        return natural_key(text) if isinstance(text, str) else text

    slots = (moments[key] for key in sorted(moments, key=order))
    return MatchResult(tuple(Slot(v and v.path, t and t.path, rule) for v, t in slots))


def _by_convention(convention: Convention, seen: _Files, felt: _Files) -> MatchResult:
    return _by_keys(
        convention.rule,
        {file: convention.key(file.name, 0) for file in seen},
        {file: convention.key(file.name, 1) for file in felt},
    )


def _by_numbers(seen: _Files, felt: _Files) -> MatchResult:
    keys = [_numbers(files) for files in (seen, felt)]
    depth = {len(key) for of_camera in keys for key in of_camera.values()}
    if any(len(set(k.values())) < len(k) or not k for k in keys) or len(depth) != 1:
        return MatchResult(())
    return _by_keys(NUMBERS, *keys)


def _numbers(files: _Files) -> dict[_File, tuple[int, ...]]:
    """Return the numbers in which the names of a camera differ; nothing where their words do."""
    digits = [tuple(int(n) for n in re.findall(r"\d+", file.name)) for file in files]
    words = {re.sub(r"\d+", "#", file.name.lower()) for file in files}
    if len(words) != 1 or not digits[0]:
        return {}
    varies = [at for at, column in enumerate(zip(*digits, strict=True)) if len(set(column)) > 1]
    varies = varies or [len(digits[0]) - 1]  # a single file: its last number
    return {f: tuple(row[at] for at in varies) for f, row in zip(files, digits, strict=True)}


def _by_times(rule: str, seen: _Files, felt: _Files, matching: Matching) -> MatchResult:
    sides = []
    for files in (seen, felt):
        stamps = [
            stamp_of_name(file.path.stem) if rule == STAMPS else exif_stamp(file.path)
            for file in files
        ]
        if None in stamps or len(set(stamps)) < len(stamps) or not files:
            return MatchResult(())
        sides.append(sorted((s, f.path) for s, f in zip(stamps, files, strict=True) if s))
    tolerance_ns = round(matching.tolerance_ms * 1e6)
    pairer: FramePairer[Path] = FramePairer(tolerance_ns=tolerance_ns, ledger=FrameLedger())
    frames = sorted((*f, s) for s, side in zip(Stream, sides, strict=True) for f in side)
    pairs = [pair for ns, path, stream in frames for pair in pairer.add(stream, ns, path)]
    pairs += pairer.flush()
    slots = [
        Slot(p.visible, p.thermal, rule, p.visible_stamp_ns, p.thermal_stamp_ns) for p in pairs
    ]
    used = {(path, stream) for slot in slots for path, stream in zip(slot, Stream, strict=False)}
    for ns, path, stream in frames:
        if (path, stream) not in used:
            is_seen = stream is Stream.VISIBLE
            slots.append(
                Slot(path, None, rule, ns) if is_seen else Slot(None, path, rule, None, ns)
            )
    return MatchResult(tuple(sorted(slots, key=lambda slot: slot.stamp_ns or 0)))


def _by_order(seen: _Files, felt: _Files) -> MatchResult:
    if len(seen) != len(felt):
        raise MatchError(
            f"{len(seen)} visible and {len(felt)} thermal files; matching by order needs equal "
            "counts"
        )
    return MatchResult(tuple(Slot(v.path, t.path, ORDER) for v, t in zip(seen, felt, strict=True)))


def _no_match(seen: _Files, felt: _Files) -> str:
    sides = [[file.path for file in files] for files in (seen, felt)]
    text = (
        f"no files match: {len(seen)} visible ({first_names(sides[0])}) and {len(felt)} thermal "
        f"({first_names(sides[1])}); a pair needs equal names without suffix, names of a known "
        "convention, equal numbers or time stamps in the names, or times in EXIF. --pattern and "
        "--pairs name others; --by-order matches by position where the counts are equal"
    )
    stamps = [[s for path in side if (s := stamp_of_name(path.stem))] for side in sides]
    if all(stamps):
        least_ms = min(abs(a - min(stamps[1], key=lambda b: abs(b - a))) for a in stamps[0]) / 1e6
        text += (
            f". The time stamps in the names differ by {least_ms:g} ms and more (--tolerance-ms)"
        )
    return text
