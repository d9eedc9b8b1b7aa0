# SPDX-License-Identifier: Apache-2.0
"""The fuse node's parameters: one table, as the fields of one record.

The record's fields feed the node's declarations and checks, `config/fuse.yaml` and
`docs/parameters.md` (both written by `python -m fusion_ros.nodes.parameter_files`). Nothing here
needs ROS.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from fusion_ros.engines.choice import DEVICE_NAMES, ENGINE_NAMES
from fusion_ros.model.config import PRESETS

Value = bool | int | float | str


class ParameterError(ValueError):
    """A parameter that cannot be used; the message names it, its value and what is allowed."""


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
            value, fits = float(value), True
        if not fits:
            raise ParameterError(
                f"parameter {self.name} is {value!r} ({type(value).__name__}); "
                f"it takes {self.kind.__name__}: {self.allowed}"
            )
        in_range = True
        if self.kind in (int, float):
            low = -math.inf if self.low is None else self.low
            high = math.inf if self.high is None else self.high
            in_range = math.isfinite(value) and low <= value <= high
        if not in_range or (self.choices and value not in self.choices):
            raise ParameterError(f"parameter {self.name} is {value!r}; allowed: {self.allowed}")
        return value


def _parameter(
    default: Value,
    meaning: str,
    *,
    group: str,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    live: bool = False,
) -> Any:
    facts = {"meaning": meaning, "group": group, "low": low, "high": high}
    return dataclasses.field(default=default, metadata={**facts, "choices": choices, "live": live})


_NETWORK, _PAIRING, _THERMAL = "Network and engine", "Pairing", "Thermal"
_INPUT, _OUTPUT, _WATCH = "Input", "Output", "Monitoring"
_RELIABILITIES = ("auto", "reliable", "best_effort")


@dataclasses.dataclass(frozen=True)
class FuseParameters:
    """All parameters of the fuse node; a field is one, described by its `ParameterSpec`."""

    autostart: bool = _parameter(
        True,
        "Configure and activate at start. false: wait for a lifecycle manager to do it.",
        group=_NETWORK,
    )
    preset: str = _parameter(
        "compact",
        "Network to run with its shipped weights: compact (ours, fast) or paper (as published).",
        group=_NETWORK,
        choices=tuple(PRESETS),
    )
    weights: str = _parameter(
        "",
        "Path of a safetensors file to run in place of the preset's shipped weights.",
        group=_NETWORK,
    )
    engine: str = _parameter(
        "auto", "What runs the network; auto takes the best that can run here.",
        group=_NETWORK, choices=ENGINE_NAMES,
    )  # fmt: skip
    device: str = _parameter(
        "auto", "Where it runs; auto takes a GPU where one answers.",
        group=_NETWORK, choices=DEVICE_NAMES,
    )  # fmt: skip
    precision: str = _parameter(
        "auto",
        "Number format of the network: float16 on a GPU, bfloat16 on CPUs made for it, else "
        "float32, unless one is named.",
        group=_NETWORK,
        choices=("auto", "float32", "bfloat16", "float16"),
    )
    warm_up_width: int = _parameter(
        640, "Width [pixels] of the visible frames to prepare for while configuring.",
        group=_NETWORK, low=1, high=16384,
    )  # fmt: skip
    warm_up_height: int = _parameter(
        480, "Height [pixels] of the visible frames to prepare for while configuring.",
        group=_NETWORK, low=1, high=16384,
    )  # fmt: skip

    pairing_tolerance_ms: float = _parameter(
        20.0,
        "Largest skew of a pair, both ends included: |thermal stamp + thermal_offset_ms - visible "
        "stamp|.",
        group=_PAIRING,
        low=0.0,
        high=10000.0,
        live=True,
    )
    thermal_offset_ms: float = _parameter(
        0.0,
        "Constant added to thermal stamps before pairing, for a camera whose stamps are early (+) "
        "or late (-).",
        group=_PAIRING,
        low=-10000.0,
        high=10000.0,
        live=True,
    )
    pairing_queue_size: int = _parameter(
        8, "Frames of each stream that may wait for a partner.", group=_PAIRING, low=1, high=256
    )

    visible_reliability: str = _parameter(
        "auto",
        "Reliability asked of the visible camera; auto asks for what its publisher offers, and "
        "best effort until there is one.",
        group=_INPUT,
        choices=_RELIABILITIES,
    )
    thermal_reliability: str = _parameter(
        "auto", "The same for the thermal camera.", group=_INPUT, choices=_RELIABILITIES
    )

    tone_low_percent: float = _parameter(
        0.5, "Share [percent] of 16-bit or float thermal pixels that may be cut off as black.",
        group=_THERMAL, low=0.0, high=50.0, live=True,
    )  # fmt: skip
    tone_high_percent: float = _parameter(
        99.5, "Share [percent] of thermal pixels above which the rest is cut off as white.",
        group=_THERMAL, low=50.0, high=100.0, live=True,
    )  # fmt: skip
    registration_mode: str = _parameter(
        "resize",
        "How the thermal frame comes onto the visible grid: none (sizes must be equal) or resize.",
        group=_THERMAL,
        choices=("none", "resize"),
    )

    output_encoding: str = _parameter(
        "rgb8", "Encoding of the fused image.",
        group=_OUTPUT, choices=("rgb8", "bgr8", "mono8"), live=True,
    )  # fmt: skip
    output_reliability: str = _parameter(
        "reliable",
        "Reliability offered for the fused image; reliable also serves best-effort subscribers.",
        group=_OUTPUT,
        choices=("reliable", "best_effort"),
    )

    status_every_frame: bool = _parameter(
        False, "Publish fused/status with every fused image, besides once a second.",
        group=_WATCH, live=True,
    )  # fmt: skip
    stream_timeout_ms: float = _parameter(
        1000.0, "A stream without a frame for this long is reported as silent.",
        group=_WATCH, low=1.0, high=600000.0, live=True,
    )  # fmt: skip

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> FuseParameters:
        """Check every value, then what they must satisfy together.

        Raises:
            ParameterError: names the first parameter that cannot be used.
        """
        known = {spec.name: spec for spec in SPECS}
        if unknown := sorted(set(values) - set(known)):
            raise ParameterError(f"unknown parameters {unknown}; known: {', '.join(known)}")
        return cls(**{name: known[name].check(value) for name, value in values.items()})


def _specs() -> tuple[ParameterSpec, ...]:
    kinds = {"bool": bool, "int": int, "float": float, "str": str}
    return tuple(
        ParameterSpec(
            name=field.name,
            kind=kinds[str(field.type)],
            default=field.default,
            **field.metadata,
        )
        for field in dataclasses.fields(FuseParameters)
    )


SPECS: tuple[ParameterSpec, ...] = _specs()
