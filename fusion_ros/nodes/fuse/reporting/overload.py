# SPDX-License-Identifier: Apache-2.0
"""Advice for an overloaded node: the next cheaper setting."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from fusion_ros.engines.cpu import cpu_has_fast_bfloat16
from fusion_ros.engines.engine import EngineDescription


class Cheaper(NamedTuple):
    """A cheaper setting.

    Attributes:
        parameters: the node's parameters to set; empty for a change of the cameras.
        text: the advice.
    """

    parameters: Mapping[str, str | float]
    text: str


def cheaper_setting(engine: EngineDescription, *, has_held: bool, fused_hz: float) -> Cheaper:
    """Return the next cheaper setting: preset, precision, held frames, then rate and size.

    Args:
        engine: the running engine.
        has_held: whether pairs of held thermal frames are among those of the last seconds.
        fused_hz: rate that the node sustains now.
    """
    if engine.preset == "paper":
        return _parameters("preset", "compact", " and leave weights empty")
    lower = _lower_precision(engine)
    if lower:
        return _parameters("precision", lower)
    if has_held:
        return _parameters("thermal_hold_ms", 0.0, " (no pairs of held thermal frames)")
    rate = f"to {math.floor(fused_hz)} Hz " if fused_hz >= 1 else ""
    return Cheaper({}, f"lower the cameras' rate {rate}or halve their image size in the drivers")


def _lower_precision(engine: EngineDescription) -> str:
    """Return a faster precision that the running engine accepts, or an empty text.

    TensorRT takes the precision of the engine that was built for it.
    """
    if engine.precision == "float32" and engine.device != "cpu":
        return "float16" if engine.name == "torch" else ""
    if engine.precision == "float32" and cpu_has_fast_bfloat16():
        return "bfloat16"
    # After a trial "auto" has rejected int8, whose image or time was not good enough.
    has_int8 = engine.detail.get("int8") == "available" and "int8 trial" not in engine.detail
    return "int8" if has_int8 else ""


def _parameters(name: str, value: str | float, more: str = "") -> Cheaper:
    return Cheaper({name: value}, f"start the node with {name} {value!r}{more}")
