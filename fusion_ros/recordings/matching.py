# SPDX-License-Identifier: Apache-2.0
"""Matching of visible and thermal files: one set of rules for all commands.

Files match by equal names, by equal numbers in their names, or by time stamps in their names.
Positions in the folders count only where the caller requests that.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path

MOST_NAMED = 3
"""Number of files without a partner that a message names for each camera."""
DEFAULT_TOLERANCE_MS = 20.0
"""Default of the largest difference of two time stamps in names."""

_EARLIEST_S, _LATEST_S = 946_684_800, 4_102_444_800  # the years 2000 to 2100
_DATE = re.compile(
    r"(20\d\d)[-_.]?(\d\d)[-_.]?(\d\d)[-_.T ]?(\d\d)[-_.h:]?(\d\d)[-_.m:]?(\d\d)"
    r"(?:[-_.,s]?(\d{1,9}))?(?!\d)"
)
_SECONDS = re.compile(r"(?<!\d)(\d{10})[._-](\d{1,9})(?!\d)")
_WHOLE = re.compile(r"(?<!\d)(\d{10}|\d{13}|\d{16}|\d{19})(?!\d)")


class MatchError(ValueError):
    """Error of files that cannot be matched; it states counts and the first unmatched names."""


class Rule(str, Enum):
    """Rule by which two files match."""

    NAMES = "equal names"
    NUMBERS = "equal numbers in the names"
    STAMPS = "time stamps in the names"
    ORDER = "their order"


@dataclasses.dataclass(frozen=True)
class FileMatch:
    """A visible file and its thermal partner."""

    visible: Path
    thermal: Path


@dataclasses.dataclass(frozen=True)
class Slot:
    """Files of one moment; `stamp_ns` is set where the names contain time stamps."""

    visible: Path | None
    thermal: Path | None
    stamp_ns: int | None = None


@dataclasses.dataclass(frozen=True)
class LeftOver:
    """A file without a partner, and the reason."""

    path: Path
    why: str


@dataclasses.dataclass(frozen=True)
class MatchResult:
    """Matched files.

    Attributes:
        rule: rule by which the files match.
        pairs: matched files, in natural order of their names or in time order.
        visible_left, thermal_left: files without a partner.
        slots: pairs and files without a partner, in one common order.
    """

    rule: Rule
    pairs: tuple[FileMatch, ...]
    visible_left: tuple[LeftOver, ...]
    thermal_left: tuple[LeftOver, ...]
    slots: tuple[Slot, ...]

    @property
    def left(self) -> tuple[LeftOver, ...]:
        """Files of both cameras without a partner."""
        return self.visible_left + self.thermal_left

    def summary(self) -> str:
        """Return rule, counts and the first unmatched names in one line."""
        text = f"{len(self.pairs)} pairs by {self.rule.value}"
        left = _named_left(self.visible_left, self.thermal_left)
        return f"{text}; without a partner: {left}" if left else text

    def doubts(self) -> tuple[str, ...]:
        """Return warnings about matches by name that the file counts contradict."""
        if self.rule not in (Rule.NAMES, Rule.NUMBERS) or not self.pairs:
            return ()
        if self._is_shifted():
            return (
                f"the names differ by {len(self.visible_left)} numbers at both ends: if each "
                "camera counted from its own start, equal numbers are not equal moments",
            )
        few = len(self.pairs) + min(len(self.visible_left), len(self.thermal_left))
        tail = self.slots[-(len(self.slots) - len(self.pairs)) :]
        only_tail = len(tail) < len(self.slots) and not any(s.visible and s.thermal for s in tail)
        if len(self.left) < 0.1 * few or not only_tail or (self.visible_left and self.thermal_left):
            return ()
        longer, shorter = ("visible", "thermal") if self.visible_left else ("thermal", "visible")
        return (
            f"the {shorter} files end with the first {len(self.pairs)} of {len(self.slots)} "
            f"{longer} ones: if each camera counted its own frames, equal names are not equal "
            "moments",
        )

    def _is_shifted(self) -> bool:
        """Whether both cameras counted equally far from different starts (0 to 9 and 1 to 10)."""
        count = len(self.visible_left)
        if count == 0 or len(self.thermal_left) != count:
            return False
        if not all(re.search(r"\d", pair.visible.stem) for pair in self.pairs):
            return False
        ends = self.slots[:count], self.slots[-count:]
        return any(
            all(slot.thermal is None for slot in first)
            and all(slot.visible is None for slot in last)
            for first, last in (ends, ends[::-1])
        )


def match_files(
    visible: Sequence[Path],
    thermal: Sequence[Path],
    *,
    by_order: bool = False,
    tolerance_ms: float = DEFAULT_TOLERANCE_MS,
) -> MatchResult:
    """Match the files of two cameras.

    Rules are tried in the order of `Rule`; the one that matches most files is taken, and the
    earlier one of equals.

    Args:
        visible, thermal: the files, in any order.
        by_order: match by position in natural order of the names instead; counts must be equal.
        tolerance_ms: largest difference of two time stamps in names.

    Raises:
        MatchError: no rule matches any file, a name stands for two files, or counts differ with
            `by_order`.
    """
    visible, thermal = (
        sorted(files, key=lambda path: (natural_key(path), path.name))
        for files in (visible, thermal)
    )
    for files in (visible, thermal):
        _refuse_doubles(files)
    if by_order:
        return _by_order(visible, thermal)
    found = [
        result
        for result in (
            _by_keys(Rule.NAMES, visible, thermal, _stems),
            _by_keys(Rule.NUMBERS, visible, thermal, _numbers),
            _by_stamps(visible, thermal, tolerance_ms),
        )
        if result is not None and result.pairs
    ]
    if not found:
        raise MatchError(_no_match(visible, thermal) + _nearest_stamps(visible, thermal))
    result = max(found, key=lambda result: len(result.pairs))  # the first of equals
    for pair in result.pairs:
        refuse_same(pair.visible, pair.thermal)
    return result


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
            f"{'folder' if visible.is_dir() else 'file'}; name the thermal camera's"
        )


def natural_key(path: Path) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key in which numbers in names compare by value: 2 before 10."""
    parts = re.split(r"(\d+)", path.stem.lower())
    return tuple((0, int(p), p) if p.isdecimal() else (1, 0, p) for p in parts if p)


def stamp_of_name(stem: str) -> int | None:
    """Return the time stamp in a file's name in nanoseconds since 1970, or None.

    Supported: seconds since 1970 (10 digits, optionally a fraction after a dot, an underscore or a
    dash), milli-, micro- and nanoseconds since 1970 (13, 16, 19 digits), and dates with time of
    day such as 20260131_235959, optionally with a fraction of the second.
    """
    if found := _SECONDS.search(stem):
        seconds, fraction = found.groups()
        if _EARLIEST_S <= int(seconds) < _LATEST_S:
            return int(seconds) * 10**9 + int(fraction.ljust(9, "0"))
    if found := _WHOLE.search(stem):
        digits = found[1]
        stamp_ns = int(digits) * 10 ** (19 - len(digits))
        if _EARLIEST_S <= stamp_ns // 10**9 < _LATEST_S:
            return stamp_ns
    if found := _DATE.search(stem):
        *whole, fraction = found.groups()
        try:
            year, month, day, hour, minute, second = map(int, whole)
            moment = datetime.datetime(
                year, month, day, hour, minute, second, tzinfo=datetime.timezone.utc
            )
        except ValueError:
            return None
        return int(moment.timestamp()) * 10**9 + int((fraction or "0").ljust(9, "0"))
    return None


def _refuse_doubles(files: Sequence[Path]) -> None:
    seen: dict[str, Path] = {}
    for path in files:
        other = seen.setdefault(path.stem, path)
        if other is not path:
            raise MatchError(
                f"{path.parent} holds {other.name} and {path.name}, so that {path.stem!r} is "
                "ambiguous; remove one of them"
            )


def _stems(files: Sequence[Path]) -> list[str] | None:
    return [path.stem for path in files]


def _numbers(files: Sequence[Path]) -> list[tuple[int, ...]] | None:
    """Return the numbers in which the names of a folder differ; None where their words differ."""
    digits = [tuple(int(n) for n in re.findall(r"\d+", path.stem)) for path in files]
    words = {re.sub(r"\d+", "#", path.stem.lower()) for path in files}
    if len(words) != 1 or not digits[0]:
        return None
    varies = [at for at, column in enumerate(zip(*digits, strict=True)) if len(set(column)) > 1]
    varies = varies or [len(digits[0]) - 1]  # a single file: its last number
    return [tuple(row[at] for at in varies) for row in digits]


def _by_keys(
    rule: Rule,
    visible: Sequence[Path],
    thermal: Sequence[Path],
    keys_of: Callable[[Sequence[Path]], Sequence | None],
) -> MatchResult | None:
    if not visible or not thermal:
        return None
    visible_keys, thermal_keys = keys_of(visible), keys_of(thermal)
    if visible_keys is None or thermal_keys is None:
        return None
    seen = dict(zip(visible_keys, visible, strict=True))
    felt = dict(zip(thermal_keys, thermal, strict=True))
    if len(seen) < len(visible) or len(felt) < len(thermal):
        return None  # two files have the same number
    if rule is Rule.NUMBERS and len(visible_keys[0]) != len(thermal_keys[0]):
        return None
    every = sorted(seen.keys() | felt.keys(), key=lambda k: natural_key(seen.get(k) or felt[k]))
    if rule is Rule.NUMBERS:
        every.sort()
    slots = tuple(Slot(seen.get(key), felt.get(key)) for key in every)
    return _result(rule, slots, f"no partner by {rule.value}")


def _stamps_of(files: Sequence[Path]) -> list[int]:
    """Return the stamps in the names, or nothing where a name has none."""
    stamps = [stamp_of_name(path.stem) for path in files]
    found = [stamp for stamp in stamps if stamp is not None]
    return found if len(found) == len(stamps) else []


def _by_stamps(
    visible: Sequence[Path], thermal: Sequence[Path], tolerance_ms: float
) -> MatchResult | None:
    stamped = []
    for files in (visible, thermal):
        stamps = _stamps_of(files)
        if not stamps or len(set(stamps)) < len(stamps):
            return None
        stamped.append(sorted(zip(stamps, files, strict=True)))
    seen, felt = stamped
    partners = mutual_nearest(
        [stamp for stamp, _ in seen], [stamp for stamp, _ in felt], round(tolerance_ms * 1e6)
    )
    taken = set(partners.values())
    slots = [
        Slot(path, felt[partners[at]][1] if at in partners else None, stamp)
        for at, (stamp, path) in enumerate(seen)
    ]
    slots += [Slot(None, path, stamp) for at, (stamp, path) in enumerate(felt) if at not in taken]
    slots.sort(key=lambda slot: slot.stamp_ns or 0)
    return _result(Rule.STAMPS, tuple(slots), f"no partner within {tolerance_ms:g} ms")


def mutual_nearest(
    first_ns: Sequence[int], second_ns: Sequence[int], tolerance_ns: int
) -> dict[int, int]:
    """Map indices of `first_ns` to `second_ns` (both ascending) that are mutually nearest."""

    def nearest(times: Sequence[int], others: Sequence[int]) -> list[int]:
        result, at = [], 0
        for time in times:
            while at + 1 < len(others) and abs(others[at + 1] - time) < abs(others[at] - time):
                at += 1
            result.append(at)
        return result

    if not first_ns or not second_ns:
        return {}
    there, back = nearest(first_ns, second_ns), nearest(second_ns, first_ns)
    return {
        at: other
        for at, other in enumerate(there)
        if back[other] == at and abs(first_ns[at] - second_ns[other]) <= tolerance_ns
    }


def _by_order(visible: Sequence[Path], thermal: Sequence[Path]) -> MatchResult:
    if len(visible) != len(thermal):
        raise MatchError(
            f"{len(visible)} visible and {len(thermal)} thermal files; matching by order needs "
            "equal counts"
        )
    slots = tuple(Slot(*files) for files in zip(visible, thermal, strict=True))
    result = _result(Rule.ORDER, slots, "")
    for pair in result.pairs:
        refuse_same(pair.visible, pair.thermal)
    return result


def _result(rule: Rule, slots: tuple[Slot, ...], why: str) -> MatchResult:
    return MatchResult(
        rule,
        tuple(FileMatch(s.visible, s.thermal) for s in slots if s.visible and s.thermal),
        tuple(LeftOver(s.visible, why) for s in slots if s.visible and not s.thermal),
        tuple(LeftOver(s.thermal, why) for s in slots if s.thermal and not s.visible),
        slots,
    )


def _named_left(visible: Sequence[LeftOver], thermal: Sequence[LeftOver]) -> str:
    parts = []
    for name, left in (("visible", visible), ("thermal", thermal)):
        if left:
            parts.append(f"{len(left)} {name} ({_first_names([each.path for each in left])})")
    return ", ".join(parts)


def _first_names(files: Sequence[Path]) -> str:
    names = ", ".join(repr(path.name)[1:-1][:60] for path in files[:MOST_NAMED])
    return f"{names}, ..." if len(files) > MOST_NAMED else names


def _nearest_stamps(visible: Sequence[Path], thermal: Sequence[Path]) -> str:
    """Return the smallest difference of the names' time stamps as a sentence, or ""."""
    seen, felt = _stamps_of(visible), _stamps_of(thermal)
    if not seen or not felt:
        return ""
    least_ms = min(abs(a - b) for a in seen for b in (min(felt, key=lambda f: abs(f - a)),)) / 1e6
    return f". The time stamps in the names differ by {least_ms:g} ms and more (--tolerance-ms)"


def _no_match(visible: Sequence[Path], thermal: Sequence[Path]) -> str:
    return (
        f"no file names match: {len(visible)} visible ({_first_names(visible)}) and "
        f"{len(thermal)} thermal ({_first_names(thermal)}); a pair needs equal names without "
        "suffix, equal numbers in the names, or time stamps in the names. --by-order matches by "
        "position where the counts are equal"
    )
