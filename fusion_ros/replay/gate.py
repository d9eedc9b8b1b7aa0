# SPDX-License-Identifier: Apache-2.0
"""A verdict: figures of a summary against thresholds in a YAML file.

    limits:
      fused_share: {min: 0.95}
      sync.skew_ms.p95: {max: 15}
      quality.candidates.fused.qw.mean: {min: 0.7}
    forbid: [time_jumped_back, swapped_topics]
    forbid_severity: error
    expect: []

`limits` name a path into summary.json. `forbid` and `expect` are codes of findings that must not,
or must, be there; `forbid_severity` forbids all of that severity and worse, but expected ones.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

_SEVERITIES = ("error", "warning", "info")
_KEYS = ("limits", "forbid", "forbid_severity", "expect")


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Whether a run passed, and a line for every check; failed ones first.

    `word` is "passed", "failed", "could not run" or "no gate".
    """

    word: str
    reasons: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0, 1 or 2."""
        return {"failed": 1, "could not run": 2}.get(self.word, 0)

    @classmethod
    def without_gate(cls) -> Verdict:
        """Nobody asked for one."""
        return cls("no gate")

    @classmethod
    def could_not_run(cls, error: str) -> Verdict:
        """Nothing was replayed."""
        return cls("could not run", (error,))


@dataclasses.dataclass(frozen=True)
class Gate:
    """Thresholds. Build it with `load`."""

    limits: Mapping[str, Mapping[str, float]]
    forbid: tuple[str, ...] = ()
    forbid_severity: str | None = None
    expect: tuple[str, ...] = ()

    @classmethod
    def load(cls, path: Path) -> Gate:
        """Read a gate file.

        Raises:
            ValueError: names the key, its value and what is allowed.
        """
        try:
            found = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (OSError, yaml.YAMLError) as error:
            raise ValueError(f"--gate {path} cannot be read: {error}") from error
        if not isinstance(found, dict) or set(found) - set(_KEYS):
            keys = sorted(found) if isinstance(found, dict) else type(found).__name__
            raise ValueError(f"--gate {path} holds {keys}; allowed are the keys {', '.join(_KEYS)}")
        limits = found.get("limits") or {}
        for name, limit in limits.items():
            if not isinstance(limit, dict) or not limit or set(limit) - {"min", "max"}:
                raise ValueError(
                    f"--gate {path}: limits.{name} is {limit!r}; allowed is {{min: NUMBER}}, "
                    "{max: NUMBER} or both"
                )
            for value in limit.values():
                if isinstance(value, bool) or not isinstance(value, int | float):
                    raise ValueError(f"--gate {path}: limits.{name} holds {value!r}, no number")
        severity = found.get("forbid_severity")
        if severity is not None and severity not in _SEVERITIES:
            raise ValueError(
                f"--gate {path}: forbid_severity is {severity!r}; allowed: {', '.join(_SEVERITIES)}"
            )
        return cls(
            limits, tuple(found.get("forbid") or ()), severity, tuple(found.get("expect") or ())
        )

    def judge(self, summary: Mapping[str, Any]) -> Verdict:
        """Hold a summary to the thresholds. A figure that is not there fails its limit."""
        checks = [check for path in self.limits for check in self._limit(path, summary)]
        checks += self._findings(summary["findings"])
        checks.sort()  # failed (False) first
        reasons = tuple(f"{'pass' if good else 'FAIL'}: {text}" for good, text in checks)
        return Verdict("passed" if all(good for good, _ in checks) else "failed", reasons)

    def _limit(self, path: str, summary: Mapping[str, Any]) -> list[tuple[bool, str]]:
        value = look_up(summary, path)
        if value is None:
            return [(False, f"{path} was not measured")]
        checks = []
        for kind, limit in self.limits[path].items():
            good = value >= limit if kind == "min" else value <= limit
            word = "at least" if kind == "min" else "at most"
            checks.append((good, f"{path} is {value:.4g}, wanted {word} {limit:g}"))
        return checks

    def _findings(self, findings: list[Mapping[str, Any]]) -> list[tuple[bool, str]]:
        codes = {finding["code"] for finding in findings}
        checks = [(code not in codes, f"no finding {code}") for code in self.forbid]
        checks += [(code in codes, f"finding {code} is there") for code in self.expect]
        if self.forbid_severity:
            rank = _SEVERITIES.index(self.forbid_severity)
            bad = sorted(
                {
                    f["code"]
                    for f in findings
                    if _SEVERITIES.index(f["severity"]) <= rank and f["code"] not in self.expect
                }
            )
            named = f" ({', '.join(bad)})" if bad else ""
            checks.append((not bad, f"no finding of severity {self.forbid_severity}{named}"))
        return checks


def look_up(summary: Mapping[str, Any], path: str) -> float | None:
    """A number by its dotted path; None where there is none. Keys may hold dots themselves."""
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
