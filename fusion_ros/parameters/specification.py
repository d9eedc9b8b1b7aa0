# SPDX-License-Identifier: Apache-2.0
"""What is known of one parameter: its type, range and meaning, and how a value is checked."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Iterable
from typing import Any

from fusion_ros.streams.outside_text import printable

_FLOAT_MAX = 2**1023
Value = bool | int | float | str


class ParameterError(ValueError):
    """A parameter that cannot be used; the message names it, its value and what is allowed.

    `names` are the parameters that do not go together, where it is not one value alone.
    """

    def __init__(self, message: str, *, names: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.names = tuple(names)

    @classmethod
    def of_unknown(cls, names: Iterable[str], known: Iterable[str]) -> ParameterError:
        """For names that no parameter has: says which are there that are like them."""
        known = list(known)
        told = []
        for name in names:
            shown = printable(repr(name))
            near = difflib.get_close_matches(str(name)[:80], known, n=2)
            told.append(f"{shown} (did you mean {' or '.join(near)}?)" if near else shown)
        return cls(f"unknown parameters: {', '.join(told)}; docs/reference/parameters.md lists all")


@dataclasses.dataclass(frozen=True)
class ParameterSpec:
    """What is known of one parameter.

    Attributes:
        name: its name; a number's unit is part of it.
        kind: bool, int, float or str.
        default: its value where nobody sets one.
        meaning: what it does, for people.
        low, high: range of a number, both ends allowed; None where there is no limit.
        choices: allowed values of a string; empty where any will do.
        live: whether a change works while the node runs; others want `cleanup` first.
        group: heading in the files written from the table.
    """

    name: str
    kind: type
    default: Value
    meaning: str
    low: float | None
    high: float | None
    choices: tuple[str, ...]
    live: bool
    group: str

    @property
    def allowed(self) -> str:
        """The allowed values in words."""
        if self.choices:
            return " | ".join(repr(choice) for choice in self.choices)
        if self.low is None and self.high is None:
            return {bool: "true | false", str: "any text"}.get(self.kind, "any number")
        return f"{self.low} to {self.high}"

    def check(self, value: Any) -> Value:
        """The value in the parameter's own type.

        Raises:
            ParameterError: wrong type, not finite, out of range, or not one of the choices.
        """
        fits = isinstance(value, self.kind) and not (
            isinstance(value, bool) and self.kind is not bool
        )
        if self.kind is float and isinstance(value, int) and not isinstance(value, bool):
            # An integer beyond the largest float is out of every range, too.
            value, fits = (float(value) if abs(value) < _FLOAT_MAX else math.inf), True
        if not fits:
            raise ParameterError(
                f"parameter {self.name} is {_shown(value)} ({type(value).__name__}); "
                f"it takes {self.kind.__name__}: {self.allowed}"
            )
        in_range = True
        if self.kind in (int, float):
            low = -math.inf if self.low is None else self.low
            high = math.inf if self.high is None else self.high
            # math.isfinite overflows for integers beyond the largest float.
            in_range = low <= value <= high and (self.kind is int or math.isfinite(value))
        if not in_range or (self.choices and value not in self.choices):
            raise ParameterError(
                f"parameter {self.name} is {_shown(value)}; allowed: {self.allowed}"
            )
        return value


def _shown(value: Any) -> str:
    """Return a value as it is printed: on one line, shortened, whatever it is."""
    if isinstance(value, int) and abs(value) >= 2**63:
        return f"an integer of {value.bit_length()} bits"
    return printable(repr(value))


def parameter(
    default: Value,
    meaning: str,
    *,
    group: str,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    live: bool = False,
) -> Any:
    """A field of a record that is a parameter; the keywords are those of `ParameterSpec`."""
    facts = {"meaning": meaning, "group": group, "low": low, "high": high}
    return dataclasses.field(default=default, metadata={**facts, "choices": choices, "live": live})


def specs_of(record: type) -> tuple[ParameterSpec, ...]:
    """The parameters that are the fields of a record."""
    kinds = {"bool": bool, "int": int, "float": float, "str": str}
    return tuple(
        ParameterSpec(
            name=field.name,
            kind=kinds[str(field.type)],
            default=field.default,
            **field.metadata,
        )
        for field in dataclasses.fields(record)
    )
