# SPDX-License-Identifier: Apache-2.0
"""Everything that can be set about thermal tone mapping, each with its unit and its range."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from fusion_ros.thermal import units as thermal_units

MODES = ("fixed", "percentile", "histogram", "clahe")
POLARITIES = ("white_hot", "black_hot")
EIGHT_BIT = ("pass", "stabilise", "map")

RANGES: dict[str, tuple[float, float]] = {
    "low_percent": (0.0, 100.0),
    "high_percent": (0.0, 100.0),
    "headroom": (0.0, 100.0),
    "minimum_span": (0.0, 1e6),
    "fixed_low": (-1e6, 1e6),
    "fixed_high": (-1e6, 1e6),
    "linear_scale": (-1e6, 1e6),
    "linear_offset": (-1e6, 1e6),
    "plateau_percent": (0.01, 100.0),
    "linear_percent": (0.0, 100.0),
    "detail_gain": (0.0, 8.0),
    "clahe_clip": (0.0, 100.0),
    "clahe_tiles": (1, 64),
    "smoothing_s": (0.0, 600.0),
    "scene_change": (0.0, 10.0),
    "telemetry_rows_top": (0, 64),
    "telemetry_rows_bottom": (0, 64),
}
"""Smallest and largest allowed value of each number in `ToneOptions`."""
LEAST_SPAN = 1e-3
"""Smallest difference of black and white, in the camera's own numbers: less cannot be scaled."""
MOST_SPAN = 1e9
MOST_DEAD_PIXELS = 4096
LARGEST_COORDINATE = 65535
CHOICES = {
    "mode": MODES,
    "unit": tuple(thermal_units.UNITS),
    "polarity": POLARITIES,
    "input_polarity": POLARITIES,
    "eight_bit": EIGHT_BIT,
}
"""Allowed words of each choice in `ToneOptions`."""


@dataclass(frozen=True)
class ToneOptions:
    """How a thermal frame is brought to 8 bits. `RANGES` and `CHOICES` hold what is allowed.

    Raises:
        ValueError: an option outside its range, with its name, its value and the range.
    """

    mode: str = "histogram"
    """`fixed`: `fixed_low` is black, `fixed_high` white. `percentile`: the frame's own limits.
    `histogram`: plateau equalisation, as thermal cameras do it. `clahe`: percentile limits, then
    contrast limited local equalisation (the slow one)."""
    low_percent: float = 0.5
    """Share of pixels, in percent, that may be cut off as black (`percentile`, `clahe`)."""
    high_percent: float = 99.5
    """Share of pixels, in percent, above which the rest is cut off as white."""
    headroom: float = 1.0
    """How far black and white may lie outside the body of the picture (the 5th to the 90th
    percentile), in multiples of its range. What is further is white or black: one very hot object
    does not take the contrast of everything else. 0: no limit."""
    minimum_span: float = 0.0
    """Smallest difference that is stretched from black to white, in the camera's own numbers; a
    flat scene then stays flat instead of turning into noise. 0: from the frame's own noise."""
    fixed_low: float = 0.0
    """Black in mode `fixed`: degrees Celsius, or raw counts with unit `counts`."""
    fixed_high: float = 100.0
    """White in mode `fixed`: degrees Celsius, or raw counts with unit `counts`."""
    unit: str = "counts"
    """What the camera's numbers are, see `thermal_units`."""
    linear_scale: float = 1.0
    """Degrees Celsius per count with unit `linear`."""
    linear_offset: float = 0.0
    """Degrees Celsius at count 0 with unit `linear`."""
    plateau_percent: float = 0.5
    """Histogram: most that one of 256 equal temperature steps may claim, in percent of pixels.
    Small leans to a linear picture, large to full equalisation."""
    linear_percent: float = 25.0
    """Histogram: share of the grey levels handed out linearly, whatever the histogram says, so
    that a small hot object stays brighter than its background by as much as it is hotter."""
    detail_gain: float = 0.0
    """Fine detail added back, as a multiple of what a linear mapping would show of it."""
    clahe_clip: float = 2.0
    """Clip limit of `clahe`, in multiples of an even histogram."""
    clahe_tiles: int = 8
    """Tiles of `clahe` along each side."""
    polarity: str = "white_hot"
    """How the output shows hot. The shipped networks were trained on `white_hot`."""
    input_polarity: str = "white_hot"
    """How the camera shows hot; `black_hot` 8-bit streams are turned round."""
    eight_bit: str = "stabilise"
    """8-bit input: `pass` it through, `stabilise` it against jumps of the camera's own gain (passed
    through as long as there is none), or `map` it like counts."""
    smoothing_s: float = 2.0
    """Time constant, in seconds, with which the mapping follows the scene. 0: at once."""
    scene_change: float = 0.10
    """Shift of the temperatures between the 10th and the 80th percentile, as a share of the
    range in use, that counts as another scene and is followed at once. 0: never."""
    telemetry_rows_top: int = 0
    """Rows at the top that hold telemetry and no picture; removed."""
    telemetry_rows_bottom: int = 0
    """Rows at the bottom that hold telemetry and no picture (2 for a Boson 640 that sends 514
    rows with its telemetry as a footer); removed."""
    dead_pixels: tuple[int, ...] = ()
    """Dead pixels as column, row, column, row, ...; replaced by the median around them."""

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}; allowed are {', '.join(choices)}"
                )
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if not (math.isfinite(value) and low <= value <= high):
                raise ValueError(f"{name} is {value}; allowed is {low} to {high}")
        for low, high in (("low_percent", "high_percent"), ("fixed_low", "fixed_high")):
            if not getattr(self, low) < getattr(self, high):
                raise ValueError(
                    f"{low} is {getattr(self, low)} and {high} is {getattr(self, high)}; "
                    f"allowed is {low} < {high}"
                )
        thermal_units.unit(self.unit, linear_scale=self.linear_scale)
        self._check_fixed_limits()
        object.__setattr__(self, "dead_pixels", tuple(int(n) for n in self.dead_pixels))
        listed = self.dead_pixels
        usable = all(0 <= number <= LARGEST_COORDINATE for number in listed)
        if len(listed) % 2 or len(listed) > 2 * MOST_DEAD_PIXELS or not usable:
            raise ValueError(
                f"dead_pixels has {len(listed)} numbers, the first are {str(listed[:8])[:120]}; "
                f"allowed are at most {MOST_DEAD_PIXELS} pairs of column and row, each 0 to "
                f"{LARGEST_COORDINATE}"
            )

    def _check_fixed_limits(self) -> None:
        """Check that black and white of mode `fixed` differ in the camera's own numbers.

        Raises:
            ValueError: the unit and its scale bring them together, or beyond all numbers.
        """
        black, white = self.fixed_limits()
        if not (LEAST_SPAN <= abs(white - black) < MOST_SPAN):
            raise ValueError(
                f"fixed_low is {self.fixed_low}, fixed_high is {self.fixed_high}, unit is "
                f"{self.unit!r} and linear_scale is {self.linear_scale}: black and white differ by "
                f"{abs(white - black):g} of the camera's own numbers; allowed is {LEAST_SPAN:g} to "
                f"{MOST_SPAN:g}"
            )

    def fixed_limits(self) -> tuple[float, float]:
        """Black and white of mode `fixed` in the camera's own numbers, the smaller first."""
        unit = thermal_units.unit(
            self.unit, linear_scale=self.linear_scale, linear_offset=self.linear_offset
        )
        if unit is None:
            return self.fixed_low, self.fixed_high
        return unit.from_celsius(self.fixed_low), unit.from_celsius(self.fixed_high)


assert set(RANGES) | set(CHOICES) | {"dead_pixels"} == {f.name for f in fields(ToneOptions)}
