# SPDX-License-Identifier: Apache-2.0
"""Result of the matching of files: pairs, files without a partner, and doubts."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fusion_ros.recordings.image_files import is_video

MOST_NAMED = 3
"""Number of files without a partner that a message names for each camera."""

NAMES = "equal names"
NUMBERS = "equal numbers in the names"
STAMPS = "time stamps in the names"
EXIF = "times in EXIF"
ORDER = "their order"
LIST = "the list of pairs"
_TIMES = (STAMPS, EXIF)


class Slot(NamedTuple):
    """Files of one moment; their stamps are set where they match by time."""

    visible: Path | None
    thermal: Path | None
    rule: str
    visible_ns: int | None = None
    thermal_ns: int | None = None

    @property
    def stamp_ns(self) -> int | None:
        """Stamp of the visible file, else of the thermal one."""
        return self.thermal_ns if self.visible_ns is None else self.visible_ns


class FilePair(NamedTuple):
    """A visible file, its thermal partner, and the rule by which they match."""

    visible: Path
    thermal: Path
    rule: str

    @property
    def is_video(self) -> bool:
        """Whether the files are videos."""
        return is_video(self.visible)


class LeftOver(NamedTuple):
    """A file without a partner, and the reason."""

    path: Path
    why: str


@dataclasses.dataclass(frozen=True)
class MatchResult:
    """Matched files.

    Attributes:
        slots: pairs and files of a known camera without a partner, in name or time order.
        unused: files that belong to neither camera or are not read.
    """

    slots: tuple[Slot, ...]
    unused: tuple[LeftOver, ...] = ()

    @property
    def pairs(self) -> tuple[FilePair, ...]:
        """Matched files."""
        return tuple(FilePair(v, t, rule) for v, t, rule, *_ in self.slots if v and t)

    @property
    def visible_left(self) -> tuple[LeftOver, ...]:
        """Visible files without a partner."""
        return tuple(LeftOver(v, _why(rule)) for v, t, rule, *_ in self.slots if v and not t)

    @property
    def thermal_left(self) -> tuple[LeftOver, ...]:
        """Thermal files without a partner."""
        return tuple(LeftOver(t, _why(rule)) for v, t, rule, *_ in self.slots if t and not v)

    @property
    def left(self) -> tuple[LeftOver, ...]:
        """All files without a partner."""
        return self.visible_left + self.thermal_left + self.unused

    @property
    def is_by_time(self) -> bool:
        """Whether the files match by their time stamps."""
        return all(slot.stamp_ns is not None for slot in self.slots)

    def summary(self) -> str:
        """Return rules, counts and the first unmatched names in one line."""
        rules = Counter(pair.rule for pair in self.pairs).items()
        text = ", ".join(
            f"{count} {'pair' if count == 1 else 'pairs'} by {rule}" for rule, count in rules
        )
        parts = [
            f"{len(left)} {camera} ({first_names([each.path for each in left])})"
            for camera, left in (("visible", self.visible_left), ("thermal", self.thermal_left))
            if left
        ]
        return f"{text}; without a partner: {', '.join(parts)}" if parts else text

    def left_lines(self) -> list[str]:
        """Return a line for each folder and reason with files that are left over."""
        groups: dict[tuple[Path, str], list[Path]] = defaultdict(list)
        for path, why in self.left:
            groups[path.parent, why].append(path)
        return [
            f"{folder}: {len(paths)} ({first_names(paths)}): {why}"
            for (folder, why), paths in groups.items()
        ]

    def doubts(self) -> tuple[str, ...]:
        """Return a warning where each camera may have numbered its own frames.

        Then the files without a partner are all at the ends: as many of each camera (0 to 9 and
        1 to 10), or a tenth of the pairs and more of one camera at the last end.
        """
        rules, pairs = {pair.rule for pair in self.pairs}, len(self.pairs)
        seen, felt = len(self.visible_left), len(self.thermal_left)
        if len(rules) != 1 or rules & {*_TIMES, ORDER, LIST} or not (seen or felt):
            return ()
        matched = [at for at, slot in enumerate(self.slots) if slot.visible and slot.thermal]
        if matched != list(range(matched[0], matched[0] + pairs)):
            return ()
        numbered = all(re.search(r"\d", pair.visible.stem) for pair in self.pairs)
        shifted = numbered and seen == felt == matched[0]
        if not shifted and (matched[0] or (seen and felt) or seen + felt < 0.1 * pairs):
            return ()
        return (
            f"{seen} visible and {felt} thermal files at the ends have no partner: if each camera "
            "counted its own frames, equal names are not equal moments",
        )


def _why(rule: str) -> str:
    within = " within the tolerance" if rule in _TIMES else ""
    return f"no partner by {rule}{within}"


def first_names(files: Sequence[Path]) -> str:
    """Return the names of the first files, for messages."""
    names = ", ".join(repr(path.name)[1:-1][:60] for path in files[:MOST_NAMED])
    return f"{names}, ..." if len(files) > MOST_NAMED else names
