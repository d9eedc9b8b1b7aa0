# SPDX-License-Identifier: Apache-2.0
"""The fuse node's parameters: one table, as the fields of one record.

The fields feed the node's declarations and checks, `config/fuse.yaml` and
`docs/reference/parameters.md` (both written by `python -m fusion_ros.parameters.files`).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, TypeVar

from fusion_ros.imaging.options import NO_TEMPERATURE, ColourOptions, OverlayOptions
from fusion_ros.outside_text import printable
from fusion_ros.parameters.interfaces import (
    InputParameters,
    LossParameters,
    MonitoringParameters,
    OutputParameters,
    PairingParameters,
)
from fusion_ros.parameters.processing import (
    NetworkParameters,
    RegistrationParameters,
    TemperatureParameters,
    ToneParameters,
)
from fusion_ros.parameters.specification import ParameterError, ParameterSpec, specs_of
from fusion_ros.registration.options import RegistrationOptions
from fusion_ros.thermal.spot_options import SpotOptions
from fusion_ros.thermal.tone_options import ToneOptions

Options = TypeVar("Options")


@dataclasses.dataclass(frozen=True)
class FuseParameters(
    # A dataclass takes the fields of its last base first: the files list the groups in this order,
    # from below.
    MonitoringParameters,
    LossParameters,
    OutputParameters,
    RegistrationParameters,
    TemperatureParameters,
    ToneParameters,
    InputParameters,
    PairingParameters,
    NetworkParameters,
):
    """All parameters of the fuse node; each field is described by its `ParameterSpec`."""

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> FuseParameters:
        """Check every value, then the complete record.

        Raises:
            ParameterError: names the first parameter that cannot be used.
        """
        known = {spec.name: spec for spec in SPECS}
        if unknown := sorted(set(values) - set(known), key=str):
            raise ParameterError.of_unknown(unknown, known)
        checked: dict[str, Any] = {name: known[name].check(given) for name, given in values.items()}
        result = cls(**checked)
        if result.thermal_hold_ms > 0 and result.pairing_policy != "nearest":
            raise ParameterError(
                f"parameter thermal_hold_ms is {result.thermal_hold_ms:g} and pairing_policy is "
                f"{result.pairing_policy!r}; allowed: thermal_hold_ms 0 or -1, or 'nearest'",
                names=("pairing_policy", "thermal_hold_ms"),
            )
        result.tone_options()
        result.registration_options()
        result.colour_options()
        result.overlay_options()
        return result

    def changed(self, changes: Mapping[str, Any]) -> FuseParameters:
        """Return the complete record after some changes, checked as `from_values` does.

        Raises:
            ParameterError: a value, or the record that results, cannot be used.
        """
        return self.from_values({**dataclasses.asdict(self), **changes})

    def tone_options(self) -> ToneOptions:
        """Return the `tone_*` parameters; this and the methods below raise `ParameterError`."""
        dead_pixels = _points("tone_dead_pixels", self.tone_dead_pixels, int)
        region = _points("tone_region", self.tone_region, float)
        return self._options("tone_", ToneOptions, dead_pixels=dead_pixels, region=region)

    def registration_options(self) -> RegistrationOptions:
        """Return the `registration_*` parameters."""
        return self._options("registration_", RegistrationOptions)

    def colour_options(self) -> ColourOptions:
        """Return the `colour_*` parameters."""
        return self._options("colour_", ColourOptions)

    def overlay_options(self) -> OverlayOptions:
        """Return the `overlay_*` parameters."""
        options = self._options("overlay_", OverlayOptions)
        if options.isotherm_celsius > NO_TEMPERATURE and self.tone_unit == "counts":
            raise ParameterError(
                f"parameters overlay_isotherm_celsius is {options.isotherm_celsius:g} and "
                "tone_unit is 'counts'; set tone_unit to the unit of the thermal camera, or "
                f"overlay_isotherm_celsius to {NO_TEMPERATURE:g}",
                names=("overlay_isotherm_celsius", "tone_unit"),
            )
        return options

    def spot_options(self) -> SpotOptions:
        """Return the `spots_*` parameters."""
        return self._options("spots_", SpotOptions)

    def _options(self, prefix: str, kind: type[Options], **parsed: Any) -> Options:
        """Return the options that the parameters of one prefix form.

        Raises:
            ParameterError: they contradict each other; the message has the parameters' names.
        """
        values = {n: v for n, v in dataclasses.asdict(self).items() if n.startswith(prefix)}
        given = {name.removeprefix(prefix): value for name, value in values.items()} | parsed
        try:
            return kind(**given)
        except ValueError as error:
            name_of_option = re.compile(rf"(?<![\w'])(?:{'|'.join(given)})\b")
            names = sorted({prefix + name for name in name_of_option.findall(str(error))})
            message = name_of_option.sub(lambda name: prefix + name[0], str(error))
            raise ParameterError(f"parameters {prefix}*: {message}", names=names) from error


def _points(name: str, text: str, kind: type) -> tuple:
    """Return the numbers of 'x,y; x,y; ...'.

    Raises:
        ParameterError: other text.
    """
    try:
        pairs = [pair.split(",") for pair in text.split(";") if pair.strip()]
        return tuple(kind(n) for x, y in pairs for n in (x, y))
    except ValueError:
        raise ParameterError(
            f"parameter {name} is {printable(repr(text))}; allowed: 'x,y; x,y; ...'"
        ) from None


SPECS: tuple[ParameterSpec, ...] = specs_of(FuseParameters)
