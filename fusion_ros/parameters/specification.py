# SPDX-License-Identifier: Apache-2.0
"""Type, range and description of one parameter, and the check of a value."""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
from collections.abc import Iterable
from typing import Any, cast

from fusion_ros.options import option
from fusion_ros.outside_text import printable

_FLOAT_MAX = 2**1023
_LISTED_NAMES = 5
_MOST_HINTED = 20
Value = bool | int | float | str


class ParameterError(ValueError):
    """A parameter that cannot be used; the message has name, value and allowed values.

    Attributes:
        names: parameters that contradict each other, where no single value is at fault.
    """

    def __init__(self, message: str, *, names: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.names = tuple(names)

    @classmethod
    def of_unknown(cls, names: Iterable[str], known: Iterable[str]) -> ParameterError:
        """Return the error for unknown names, with similar known ones."""
        known = list(known)
        listed, names = [], list(names)
        for name in names[:_LISTED_NAMES]:
            shown = printable(repr(name))
            near = difflib.get_close_matches(str(name)[:80], known, n=2)
            listed.append(f"{shown} (did you mean {' or '.join(near)}?)" if near else shown)
        if more := len(names) - len(listed):
            listed.append(f"{more} more")
        hint = "docs/reference/parameters.md lists all"
        if len(known) <= _MOST_HINTED:
            hint = f"allowed: {', '.join(known)}"
        return cls(f"unknown parameters: {', '.join(listed)}; {hint}")


@dataclasses.dataclass(frozen=True)
class ParameterSpec:
    """Type, range and description of one parameter; see `fusion_ros.options.option`."""

    name: str
    kind: type
    """bool, int, float or str."""
    default: Value
    meaning: str
    low: float | None
    high: float | None
    choices: tuple[str, ...]
    live: bool
    """Whether a change takes effect while the node runs; others need `cleanup` first."""
    group: str
    """Heading in the files written from the table."""

    @property
    def allowed(self) -> str:
        """The allowed values as text."""
        if self.choices:
            return " | ".join(repr(choice) for choice in self.choices)
        if self.low is None and self.high is None:
            return {bool: "true | false", str: "any text"}.get(self.kind, "any number")
        return f"{self.low} to {self.high}"

    def check(self, value: Any) -> Value:
        """Return the value in the parameter's own type.

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
        if not self._is_in_range(value) or (self.choices and value not in self.choices):
            raise ParameterError(
                f"parameter {self.name} is {_shown(value)}; allowed: {self.allowed}"
            )
        checked: Value = value
        return checked

    def _is_in_range(self, value: Any) -> bool:
        if self.kind not in (int, float):
            return True
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        # math.isfinite overflows for integers beyond the largest float.
        return bool(low <= value <= high) and (self.kind is int or math.isfinite(value))


def _shown(value: Any) -> str:
    """Return any value as printable text on one line, shortened."""
    if isinstance(value, int) and abs(value) >= 2**63:
        return f"an integer of {value.bit_length()} bits"
    return printable(repr(value))


def parameter(default: Value, meaning: str, *, live: bool = False, **limits: Any) -> Any:
    """Return a field that is a parameter; `limits` are those of `fusion_ros.options.option`."""
    return _with_metadata(option(default, meaning, **limits), live=live)


def derived(options: type, prefix: str, name: str, *, live: bool = False) -> Any:
    """Return a field that is the parameter PREFIX_NAME of an option record's field NAME.

    Default, range, choices and meaning are those of the option. Names of other options in the
    meaning become names of parameters.
    """
    fields = {field.name: field for field in dataclasses.fields(options)}
    source = fields[name]
    meaning = re.sub(rf"`({'|'.join(fields)})`", rf"`{prefix}\1`", str(source.metadata["meaning"]))
    field = dataclasses.field(default=source.default, metadata=source.metadata)
    return _with_metadata(field, live=live, meaning=meaning)


def _with_metadata(field: Any, **facts: Any) -> Any:
    return dataclasses.field(default=field.default, metadata={**field.metadata, **facts})


def specs_of(record: type) -> tuple[ParameterSpec, ...]:
    """Return the parameters that are the fields of a record.

    The heading of a field is the `group` of the base class that declares it.
    """
    kinds = {"bool": bool, "int": int, "float": float, "str": str}
    groups = {
        name: str(vars(base)["group"])
        for base in record.__mro__
        if "group" in vars(base)
        for name in base.__annotations__
    }
    return tuple(
        ParameterSpec(
            name=field.name,
            kind=kinds[str(field.type)],
            default=cast(Value, field.default),
            group=groups[field.name],
            **field.metadata,
        )
        for field in dataclasses.fields(record)
    )
