# SPDX-License-Identifier: Apache-2.0
"""Option records: frozen dataclasses whose fields carry their meaning, range and choices.

`fusion_ros.parameters` derives the node's parameters from these records, so that each default,
range and description is written once. A meaning refers to other fields of its record in backticks.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any


def option(
    default: Any,
    meaning: str,
    *,
    within: tuple[float | None, float | None] = (None, None),
    choices: tuple[str, ...] = (),
) -> Any:
    """Return a dataclass field with a description.

    Args:
        default: value of the field.
        meaning: description, with the unit of a number in its name or in brackets.
        within: smallest and largest allowed number.
        choices: allowed strings; empty where any is allowed.
    """
    facts = {"meaning": meaning, "low": within[0], "high": within[1], "choices": choices}
    return dataclasses.field(default=default, metadata=facts)


class Options:
    """Base of the records; checks every field against its own range and choices.

    Raises:
        ValueError: names the field, its value and what is allowed.
    """

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            choices, low = field.metadata["choices"], field.metadata["low"]
            if choices and value not in choices:
                raise ValueError(f"{field.name} is {value!r}; allowed are {', '.join(choices)}")
            if low is not None and not (
                math.isfinite(value) and low <= value <= field.metadata["high"]
            ):
                raise ValueError(
                    f"{field.name} is {value}; allowed is {low} to {field.metadata['high']}"
                )
