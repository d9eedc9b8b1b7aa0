# SPDX-License-Identifier: Apache-2.0
"""Conversion of a thermal camera's values to degrees Celsius, as declared by the user.

All conversions are `celsius = scale * value + offset`:

| name | value | cameras |
|---|---|---|
| `counts` | raw, no meaning | any; ranges are given in counts |
| `celsius` | degrees Celsius | radiometric drivers that publish 32FC1 |
| `kelvin` | Kelvin | the same |
| `centikelvin` | 0.01 K | FLIR TLinear at high resolution, Lepton TLinear at high gain |
| `decikelvin` | 0.1 K | FLIR TLinear at low resolution, Lepton TLinear at low gain |
| `optris_tenths` | 0.1 degrees above -100 | Optris PI and Xi (`optris_drivers`) |
| `linear` | `linear_scale * value + linear_offset` | other linear cameras |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

ZERO_CELSIUS_K = 273.15
PLAUSIBLE_CELSIUS = (-100.0, 2000.0)
"""Medians of thermal frames outside this range show a wrong unit."""


@dataclass(frozen=True)
class LinearUnit:
    """`celsius = scale * value + offset`."""

    scale: float
    offset: float

    def to_celsius(self, values: np.ndarray) -> np.ndarray:
        """Return the temperatures, `float32` of the same shape, of the camera's values.

        These are the values themselves where nothing needs to change.
        """
        changes = self.scale != 1 or self.offset != 0
        celsius = values.astype("float32", copy=changes)
        if changes:
            celsius *= self.scale
            celsius += self.offset
        return celsius

    def corrected(self, emissivity: float, reflected_celsius: float) -> LinearUnit:
        """Return the conversion for surfaces that also reflect their surroundings.

        A camera calibrated for emissivity 1 measures e T + (1 - e) T_reflected: the measurement
        formula W = e W_object + (1 - e) W_reflected (W. Minkina and S. Dudzik, Infrared
        Thermography: Errors and Uncertainties, 2009, chapter 2) without atmosphere, and with
        radiation linear in temperature.
        """
        reflected = (1 - emissivity) * reflected_celsius
        return LinearUnit(self.scale / emissivity, (self.offset - reflected) / emissivity)

    def at(self, value: float) -> float:
        """Return the temperature of one value."""
        return self.scale * value + self.offset

    def from_celsius(self, celsius: float) -> float:
        """Return the camera's value at a temperature."""
        return (celsius - self.offset) / self.scale


UNITS: dict[str, LinearUnit | None] = {
    "counts": None,
    "celsius": LinearUnit(1.0, 0.0),
    "kelvin": LinearUnit(1.0, -ZERO_CELSIUS_K),
    "centikelvin": LinearUnit(0.01, -ZERO_CELSIUS_K),
    "decikelvin": LinearUnit(0.1, -ZERO_CELSIUS_K),
    "optris_tenths": LinearUnit(0.1, -100.0),
    "linear": None,
}
"""Conversions by name; None without one (`counts`) or with one from the options (`linear`)."""


def unit(name: str, *, linear_scale: float = 1.0, linear_offset: float = 0.0) -> LinearUnit | None:
    """Return the conversion called `name`, one of `UNITS`, or None for raw counts.

    Raises:
        ValueError: `linear` with a scale of 0.
    """
    if name != "linear":
        return UNITS[name]
    if linear_scale == 0:
        raise ValueError("linear_scale is 0; allowed is any other number (degrees per count)")
    return LinearUnit(linear_scale, linear_offset)
