# SPDX-License-Identifier: Apache-2.0
"""Zones of the image with temperature limits, from a YAML file (docs/how-to/thermal-camera.md)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any

import cv2
import numpy as np

from fusion_ros.files.reading import MalformedFileError, UnreadableFileError, parse_yaml, read_bytes
from fusion_ros.outside_text import printable
from fusion_ros.thermal.sensor_defects import valid_readings
from fusion_ros.thermal.units import LinearUnit

VERSION = 1
_VERSION_KEY = "fusion_ros_zones"
_MOST_ZONES = 64
_LARGEST = 1e6


class ZoneFileError(ValueError):
    """A zone file that cannot be used; the text names the file, the zone, the entry and the fix."""


class ZoneLevel(IntEnum):
    """State of a zone; the values are those of DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2
    UNSEEN = 3
    """The thermal camera does not see the zone, or it holds no valid reading."""


@dataclass(frozen=True)
class Zone:
    """A polygon on the visible image and its limits, infinite where there is none.

    A level ends when the temperature is `hysteresis` inside its limit.
    """

    name: str
    polygon: tuple[tuple[float, float], ...]
    """Corners x, y in shares of the visible image, 0 to 1."""
    warn_above: float = math.inf
    error_above: float = math.inf
    warn_below: float = -math.inf
    error_below: float = -math.inf
    hysteresis: float = 0.0

    def level(self, coldest: float, hottest: float, before: ZoneLevel) -> ZoneLevel:
        """Return the level for these temperatures after `before`."""
        found = ZoneLevel.OK
        for level, above, below in (
            (ZoneLevel.WARN, self.warn_above, self.warn_below),
            (ZoneLevel.ERROR, self.error_above, self.error_below),
        ):
            margin = self.hysteresis if level <= before < ZoneLevel.UNSEEN else 0.0
            if hottest > above - margin or coldest < below + margin:
                found = level
        return found

    def limits(self, level: ZoneLevel) -> str:
        """Return the limits of a level as text, "above 60 or below 5"; empty without any."""
        above, below = {
            ZoneLevel.WARN: (self.warn_above, self.warn_below),
            ZoneLevel.ERROR: (self.error_above, self.error_below),
        }.get(level, (math.inf, -math.inf))
        found = [f"above {above:g}"] if above < math.inf else []
        found += [f"below {below:g}"] if below > -math.inf else []
        hysteresis = f", hysteresis {self.hysteresis:g}" if found and self.hysteresis else ""
        return " or ".join(found) + hysteresis


@dataclass(frozen=True)
class ZoneState:
    """Level and extremes of one zone in one frame, in degrees Celsius or counts; NaN if unseen."""

    name: str
    level: ZoneLevel
    coldest: float
    hottest: float
    limits: str = ""
    """Limits of this level as text."""


def zone_unit(unit_name: str) -> str:
    """Return the unit of limits, "counts" or "celsius", for a camera's unit as in `units.UNITS`."""
    return "counts" if unit_name == "counts" else "celsius"


def load_zones(path: str, unit_name: str) -> tuple[Zone, ...]:
    """Read a zone file for a thermal camera whose unit is `unit_name`, as in `units.UNITS`.

    Raises:
        ZoneFileError: missing, unreadable, of another version or unit, incomplete or contradictory.
    """
    try:
        content = parse_yaml(read_bytes(path))
        if not isinstance(content, dict) or content.get(_VERSION_KEY) != VERSION:
            raise MalformedFileError(f"entry {_VERSION_KEY} is missing or not {VERSION}")
        if unknown := set(content) - {_VERSION_KEY, "unit", "zones"}:
            raise MalformedFileError(f"unknown entries {sorted(map(str, unknown))}")
        expected = zone_unit(unit_name)
        if content.get("unit") != expected:
            raise MalformedFileError(
                f"unit is {str(content.get('unit'))[:60]!r}; allowed is {expected!r}, because "
                f"tone_unit is {unit_name!r}"
            )
        entries = content.get("zones")
        if not isinstance(entries, list) or not 1 <= len(entries) <= _MOST_ZONES:
            raise MalformedFileError(f"zones: allowed is a list of 1 to {_MOST_ZONES} zones")
        zones = tuple(_zone(entry, f"zones[{n}]") for n, entry in enumerate(entries))
        if len({zone.name for zone in zones}) < len(zones):
            raise MalformedFileError("two zones have one name")
    except UnreadableFileError as error:
        raise ZoneFileError(str(error)) from error
    except MalformedFileError as error:
        raise ZoneFileError(f"{printable(path, 300)}: {printable(error, 400)}") from error
    return zones


def _zone(entry: Any, where: str) -> Zone:
    if not isinstance(entry, dict):
        raise MalformedFileError(f"{where}: allowed are named entries")
    known = [field.name for field in fields(Zone)]
    if unknown := set(entry) - set(known):
        raise MalformedFileError(f"{where} has unknown entries {sorted(map(str, unknown))[:5]}")
    name, polygon = entry.get("name"), entry.get("polygon")
    if not isinstance(name, str) or not 0 < len(name) <= 60 or not name.isprintable():
        raise MalformedFileError(
            f"{where}.name: allowed is text of 1 to 60 characters, on one line"
        )
    corners = polygon if isinstance(polygon, list) else []
    if len(corners) < 3 or not all(
        isinstance(corner, list)
        and len(corner) == 2
        and all(type(share) in (int, float) and 0 <= share <= 1 for share in corner)
        for corner in corners
    ):
        raise MalformedFileError(
            f"{where}.polygon: allowed are 3 corners [x, y] and more, in shares of the visible "
            "image, each 0 to 1"
        )
    limits = {key: entry[key] for key in known[2:] if key in entry}
    for key, value in limits.items():
        # math.isfinite overflows for integers beyond the largest float.
        if type(value) not in (int, float) or not -_LARGEST <= value <= _LARGEST:
            raise MalformedFileError(f"{where}.{key}: allowed is a number of {_LARGEST:g} at most")
    zone = Zone(name, tuple((float(x), float(y)) for x, y in corners), **limits)
    if not limits.keys() - {"hysteresis"} or zone.hysteresis < 0:
        raise MalformedFileError(
            f"{where}: allowed is one limit and more ({', '.join(known[2:6])}), and a hysteresis "
            "of 0 and more"
        )
    too_high = math.inf > zone.warn_above > zone.error_above
    if too_high or -math.inf < zone.warn_below < zone.error_below:
        raise MalformedFileError(f"{where}: a warning limit is beyond its error limit")
    return zone


class ZoneWatch:
    """Evaluates zones frame by frame; keeps their levels for the hysteresis."""

    def __init__(self, zones: tuple[Zone, ...]) -> None:
        self._zones = zones
        self._levels = [ZoneLevel.OK for _ in zones]
        self._shape: tuple[int, ...] = ()
        self._masks: list[tuple[tuple[slice, slice], np.ndarray]] = []

    def move(self) -> None:
        """Compute the zones' pixels again at the next frame, after a change of registration."""
        self._shape = ()

    def __call__(
        self,
        frame: np.ndarray,
        unit: LinearUnit | None,
        to_thermal: Callable[[np.ndarray], np.ndarray],
    ) -> tuple[ZoneState, ...]:
        """Evaluate a thermal frame, HxW in `uint8`, `uint16` or `float32`.

        Values are in degrees Celsius, or in counts without `unit`. `to_thermal` converts points,
        Nx2 in shares of the visible image, to pixels of the frame; NaN where the thermal camera
        cannot see them.
        """
        if frame.shape != self._shape:
            self._masks = [
                _mask(to_thermal(np.array(zone.polygon)), frame.shape) for zone in self._zones
            ]
            self._shape = frame.shape
        unit = unit or LinearUnit(1.0, 0.0)
        states = []
        for n, (zone, (box, mask)) in enumerate(zip(self._zones, self._masks, strict=True)):
            part = frame[box]
            if (valid := valid_readings(part)) is not None:
                mask = mask * valid
            if not mask.any():
                states.append(ZoneState(zone.name, ZoneLevel.UNSEEN, math.nan, math.nan))
                continue
            low, high = sorted(unit.at(value) for value in cv2.minMaxLoc(part, mask)[:2])
            self._levels[n] = zone.level(low, high, self._levels[n])
            level = self._levels[n]
            states.append(ZoneState(zone.name, level, low, high, zone.limits(level)))
        return tuple(states)


def _mask(corners: np.ndarray, shape: tuple[int, ...]) -> tuple[tuple[slice, slice], np.ndarray]:
    """Return the box of a polygon in a frame, and its pixels there, `uint8` of 0 and 1."""
    if not np.isfinite(corners).all():
        return np.s_[:0, :0], np.zeros((0, 0), np.uint8)
    # OpenCV's coordinates are limited; a corner far outside hardly turns an edge inside.
    whole = np.clip(np.rint(corners), -10_000, 10_000).astype(np.int32)
    mask = cv2.fillPoly(np.zeros(shape, np.uint8), [whole], 1)
    left, top, width, height = cv2.boundingRect(mask)
    box = np.s_[top : top + height, left : left + width]
    return box, np.ascontiguousarray(mask[box])
