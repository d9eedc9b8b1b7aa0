# SPDX-License-Identifier: Apache-2.0
"""Gate of a replay: comparison of the summary with thresholds in a YAML file.

    limits:
      fused_share: {min: 0.95}
      sync.skew_ms.p95: {max: 15}
      quality.candidates.fused.qw.mean: {min: 0.7}
    forbid: [time_jumped_back, swapped_topics]
    forbid_severity: error
    expect: []

The keys of `limits` are paths in summary.json. `forbid` and `expect` list codes of findings that
must be absent or present. `forbid_severity` forbids all unexpected findings of that severity and
worse.

With any gate, a run fails when part of the recording was not read (the codes in
`findings.codes.INCOMPLETE`), unless `expect` lists that code. Without a gate it is "incomplete".
"""

from __future__ import annotations

import dataclasses
import difflib
import itertools
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from reprlib import repr as shown
from typing import Any

import yaml

from fusion_ros.files.reading import (
    MalformedFileError,
    UnreadableFileError,
    parse_yaml,
    read_bytes,
)
from fusion_ros.metrics.baselines import BASELINES
from fusion_ros.metrics.names import HIGHER_IS_BETTER
from fusion_ros.outside_text import printable
from fusion_ros.replay.findings.codes import CODES, INCOMPLETE
from fusion_ros.replay.quality import FUSED
from fusion_ros.streams.ledger import Fate, Stream
from fusion_ros.streams.series import describe_series

_SEVERITIES = ("error", "warning", "info")
_MOST = 1e300
_KEYS = ("limits", "forbid", "forbid_severity", "expect")


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Result of a gate, with a line for every check, failed checks first.

    `word` is "passed", "failed", "could not run", "no gate" or, without a gate, "incomplete".
    """

    word: str
    reasons: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """Exit code of the command: 0, 1 or 2."""
        return {"failed": 1, "could not run": 2, "incomplete": 2}.get(self.word, 0)

    @classmethod
    def could_not_run(cls, error: str) -> Verdict:
        """Return the verdict of a recording that could not be replayed."""
        return cls("could not run", (error,))


@dataclasses.dataclass(frozen=True)
class Gate:
    """Thresholds, from `load`."""

    limits: Mapping[str, Mapping[str, float]]
    forbid: tuple[str, ...] = ()
    forbid_severity: str | None = None
    expect: tuple[str, ...] = ()

    @classmethod
    def load(cls, path: Path) -> Gate:
        """Read a gate file.

        Raises:
            ValueError: the file is invalid; the message names key, value and allowed values.
        """
        content, where = _read(path), f"--gate {path}"
        if unknown := [key for key in content if key not in _KEYS]:
            raise ValueError(f"{where}: {_unknown('key', unknown[0], _KEYS)}")
        found = {key: value for key, value in content.items() if value is not None}
        severity = found.get("forbid_severity")
        if severity is not None and severity not in _SEVERITIES:
            raise ValueError(
                f"{where}: forbid_severity is {shown(severity)}; allowed: {', '.join(_SEVERITIES)}"
            )
        gate = cls(
            _limits(where, found.get("limits", {})),
            _codes(where, "forbid", found.get("forbid", [])),
            severity,
            _codes(where, "expect", found.get("expect", [])),
        )
        if gate == NO_GATE:
            raise ValueError(
                f"{where} contains no check; give one of {', '.join(_KEYS)}, or omit --gate"
            )
        return gate

    def refuse_unknown_paths(self, where: str) -> None:
        """Refuse limits of figures that no offline replay measures.

        Raises:
            ValueError: the message names the path and the nearest known one.
        """
        known = known_figures()
        for path in self.limits:
            if path not in known and not path.startswith(_OPEN):
                near = difflib.get_close_matches(path, known, 1)
                hint = f"did you mean {near[0]}?" if near else "summary.json lists all paths"
                raise ValueError(
                    f"{where}: limits has {printable(path)!r}, which no replay measures; {hint}"
                )

    def judge(self, summary: Mapping[str, Any]) -> Verdict:
        """Compare a summary with the thresholds. A missing figure fails its limit."""
        checks = [check for path in self.limits for check in self._limit(path, summary)]
        checks += self._findings(summary["findings"])
        checks.sort()  # failed (False) first
        reasons = tuple(f"{'pass' if good else 'FAIL'}: {text}" for good, text in checks)
        if not all(good for good, _ in checks):
            return Verdict("incomplete" if self == NO_GATE else "failed", reasons)
        return Verdict("no gate") if self == NO_GATE else Verdict("passed", reasons)

    def _limit(self, path: str, summary: Mapping[str, Any]) -> list[tuple[bool, str]]:
        value = look_up(summary, path)
        if value is None:
            near = difflib.get_close_matches(path, _figures(summary), 1)
            hint = f"; did you mean {near[0]}?" if near and near[0] != path else ""
            return [(False, f"{path} was not measured{hint}")]
        checks = []
        for kind, limit in self.limits[path].items():
            good = value >= limit if kind == "min" else value <= limit
            word = "at least" if kind == "min" else "at most"
            checks.append((good, f"{path} is {value:.4g}; allowed is {word} {limit:g}"))
        return checks

    def _findings(self, findings: list[Mapping[str, Any]]) -> list[tuple[bool, str]]:
        codes = {finding["code"] for finding in findings}
        unread = sorted((codes & INCOMPLETE) - set(self.expect))
        names = ", ".join(unread or sorted(codes & INCOMPLETE)) or "none"
        note = "" if unread or names == "none" else " (expected)"
        checks = [(not unread, f"unread parts of the recording: {names}{note}")]
        for listed, wanted in ((self.forbid, "absent"), (self.expect, "present")):
            for code in listed:
                found = "present" if code in codes else "absent"
                text = f"finding {code} is {found}; it must be {wanted}"
                checks.append((found == wanted, text))
        if self.forbid_severity:
            forbidden = _SEVERITIES[: _SEVERITIES.index(self.forbid_severity) + 1]
            bad = {f["code"] for f in findings if f["severity"] in forbidden} - set(self.expect)
            names = ", ".join(sorted(bad)) or "none"
            text = f"findings of severity {' or '.join(forbidden)}: {names}; allowed: none"
            checks.append((not bad, text))
        return checks


NO_GATE = Gate({})
"""Gate without thresholds: "incomplete" if part of the recording was not read."""


class _Loader(yaml.SafeLoader):
    """Loader that refuses duplicate keys, of which YAML would drop the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = Counter(self.construct_object(key, deep=True) for key, _ in node.value)
        for key, count in keys.most_common(1):
            if count > 1:
                raise yaml.YAMLError(f"the key {printable(key)!r} is duplicated")
        return super().construct_mapping(node, deep)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = parse_yaml(read_bytes(path), _Loader)
    except UnreadableFileError as error:
        raise ValueError(f"--gate {error}") from error
    except MalformedFileError as error:
        raise ValueError(f"--gate {path}: {error}") from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ValueError(
            f"--gate {path} contains {type(found).__name__}; allowed keys: {', '.join(_KEYS)}"
        )
    return found


def _limits(where: str, given: Any) -> dict[str, dict[str, float]]:
    if not isinstance(given, dict):
        raise ValueError(f"{where}: limits is {shown(given)}; allowed is {{PATH: {{min: NUMBER}}}}")
    for name, limit in given.items():
        if not isinstance(limit, dict) or not limit or set(limit) - {"min", "max"}:
            raise ValueError(
                f"{where}: limits.{printable(name)} is {shown(limit)}; allowed is {{min: NUMBER}}, "
                "{max: NUMBER} or both"
            )
        for value in limit.values():
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or not -_MOST <= value <= _MOST:
                raise ValueError(
                    f"{where}: limits.{printable(name)} contains {shown(value)}, which is no "
                    "finite number"
                )
    return {str(name): limit for name, limit in given.items()}


def _codes(where: str, key: str, given: Any) -> tuple[str, ...]:
    if not isinstance(given, list):
        raise ValueError(f"{where}: {key} is {shown(given)}; allowed is a list of codes: [stall]")
    for code in given:
        if not isinstance(code, str) or code not in CODES:
            raise ValueError(f"{where}: {key}: {_unknown('finding', code, CODES)}")
    return tuple(given)


def _unknown(what: str, name: object, allowed: Iterable[str]) -> str:
    near = difflib.get_close_matches(str(name), list(allowed), 3, 0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"allowed are {', '.join(allowed)}"
    return f"there is no {what} {shown(name)}; {hint}"


def look_up(summary: Mapping[str, Any], path: str) -> float | None:
    """Return a number by its dotted path, or None. Keys may contain dots."""
    here: Any = summary
    rest = path
    while rest:
        if not isinstance(here, Mapping):
            return None
        longest_first = sorted(here, key=len, reverse=True)
        key = next((k for k in longest_first if f"{rest}.".startswith(f"{k}.")), None)
        if key is None:
            return None
        here, rest = here[key], rest[len(key) + 1 :]
    return here if isinstance(here, int | float) and not isinstance(here, bool) else None


_OPEN = ("detection.", "formats.", "machine.", "recording.", "settings.", "times.stages_ms.")
"""Parts of summary.json whose keys depend on the run."""


def known_figures() -> set[str]:
    """Return all paths of figures, without those of `_OPEN`; a test compares them with a run."""
    streams = [stream.value for stream in Stream]
    fates = ["received", "pending", *(fate.value for fate in Fate)]
    series = list(describe_series(()))
    candidates = [FUSED, *BASELINES]
    parts: list[tuple[Iterable[str], ...]] = [
        (("duration_s", "fused", "fused_share", "jumps_back", "output.frames"),),
        (("counts",), streams, fates),
        (("recorded", "passed_alone", "temporal.repeated"), streams),
        (("sync.skew_ms", "sync.signed_skew_ms", "sync.held_age_ms"), series),
        (("sync.drift_ms_per_min", "sync.offset_ms"),),
        (("sync.streams",), streams, ("rate_hz", "jitter_ms", "missing", "longest_gap_s")),
        (("sync.streams",), streams, ("stalls", "backward")),
        (("quality.every", "quality.frames"),),
        (("quality.candidates",), candidates, HIGHER_IS_BETTER, series),
        (("quality.score",), candidates),
        (("temporal",), ("flicker_index", "average_flicker_index", "change_ratio")),
        (("temporal",), ("gain_jumps_per_minute", "badly_exposed_share", "shutter_frames")),
        (("temporal.excess_flicker",), series),
        (("alignment.score", "alignment.shift_x_px", "alignment.shift_y_px"), series),
        (("alignment.clear", "alignment.shift_share"),),
        (("times",), ("wall_s", "real_time_factor", "peak_memory_mib")),
    ]
    return {".".join(words) for each in parts for words in itertools.product(*each)}


def _figures(summary: Mapping[str, Any], inside: str = "") -> list[str]:
    """Return the dotted paths of all entries that can be a number."""
    found: list[str] = []
    for key, value in summary.items():
        deeper = isinstance(value, Mapping)
        found += _figures(value, f"{inside}{key}.") if deeper else [f"{inside}{key}"]
    return found
