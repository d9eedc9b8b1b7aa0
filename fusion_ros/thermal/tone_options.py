# SPDX-License-Identifier: Apache-2.0
"""Options of thermal tone mapping."""

from __future__ import annotations

from dataclasses import dataclass

from fusion_ros.options import Options, option
from fusion_ros.thermal import units as thermal_units

MODES = ("fixed", "percentile", "histogram", "clahe")
POLARITIES = ("white_hot", "black_hot")
EIGHT_BIT = ("pass", "stabilise", "map")

LEAST_SPAN = 1e-3
"""Smallest difference of black and white in the camera's own numbers; less cannot be scaled."""
MOST_SPAN = 1e9
MOST_DEAD_PIXELS = 4096
LARGEST_COORDINATE = 65535
LEAST_REGION = 0.01


@dataclass(frozen=True)
class ToneOptions(Options):
    """How a thermal frame is mapped to 8 bits.

    Raises:
        ValueError: an option outside its range, with its name, its value and the range.
    """

    mode: str = option(
        "histogram",
        "Tone curve for 16-bit and float thermal frames. `fixed`: `fixed_low` is black, "
        "`fixed_high` white. `percentile`: linear between two percentiles of the frame. "
        "`histogram`: plateau equalisation, as thermal cameras do it. `clahe`: `percentile`, then "
        "contrast-limited local equalisation, the slowest mode.",
        choices=MODES,
    )
    low_percent: float = option(
        0.5,
        "Share of pixels [percent] that may be cut off as black (`percentile`, `clahe`).",
        within=(0.0, 100.0),
    )
    high_percent: float = option(
        99.5,
        "Share of pixels [percent] above which the remaining ones are cut off as white "
        "(`percentile`, `clahe`).",
        within=(0.0, 100.0),
    )
    headroom: float = option(
        1.0,
        "Largest distance of black and white from the 5th to 90th percentile of the frame "
        "[multiples of that range]. It keeps one very hot object from using up all contrast. "
        "0: no limit.",
        within=(0.0, 100.0),
    )
    minimum_span: float = option(
        0.0,
        "Smallest difference [the camera's own numbers] that is stretched from black to white, so "
        "that a uniform scene does not become amplified noise. 0: estimated from the noise of the "
        "frame.",
        within=(0.0, 1e6),
    )
    fixed_low: float = option(
        0.0,
        "Black in mode `fixed` [degrees Celsius, or counts where `unit` is `counts`].",
        within=(-1e6, 1e6),
    )
    fixed_high: float = option(
        100.0,
        "White in mode `fixed` [degrees Celsius, or counts where `unit` is `counts`].",
        within=(-1e6, 1e6),
    )
    unit: str = option(
        "counts",
        "Unit of the thermal camera's numbers; docs/explanation/thermal.md lists cameras.",
        choices=tuple(thermal_units.UNITS),
    )
    linear_scale: float = option(
        1.0,
        "Scale where `unit` is `linear` [degrees Celsius per count].",
        within=(-1e6, 1e6),
    )
    linear_offset: float = option(
        0.0,
        "Temperature at count 0 where `unit` is `linear` [degrees Celsius].",
        within=(-1e6, 1e6),
    )
    emissivity: float = option(
        1.0,
        "Emissivity of the observed surfaces [0 to 1]. Below 1 degrees are corrected for what "
        "surfaces reflect, by a linear model (docs/explanation/thermal.md).",
        within=(0.05, 1.0),
    )
    reflected_celsius: float = option(
        20.0,
        "Temperature of the surroundings that the surfaces reflect [degrees Celsius]; used where "
        "`emissivity` is below 1.",
        within=(-273.15, 1000.0),
    )
    plateau_percent: float = option(
        0.5,
        "Mode `histogram`: most pixels that one of 256 equal temperature steps may count "
        "[percent of the frame]. Small values approach a linear curve, large ones full "
        "equalisation.",
        within=(0.01, 100.0),
    )
    linear_percent: float = option(
        25.0,
        "Mode `histogram`: share of the grey levels assigned linearly [percent]. A small hot "
        "object then stays brighter than its background in proportion to its temperature.",
        within=(0.0, 100.0),
    )
    detail_gain: float = option(
        0.0,
        "Gain of the fine detail that is added back [multiples of its size under a linear curve].",
        within=(0.0, 8.0),
    )
    clahe_clip: float = option(
        2.0, "Clip limit of mode `clahe` [multiples of a flat histogram].", within=(0.0, 100.0)
    )
    clahe_tiles: int = option(8, "Number of tiles along each side in mode `clahe`.", within=(1, 64))
    polarity: str = option(
        "white_hot",
        "Polarity of the thermal image given to the network. The shipped weights were trained on "
        "`white_hot`.",
        choices=POLARITIES,
    )
    input_polarity: str = option(
        "white_hot",
        "Polarity of the thermal camera's 8-bit images; `black_hot` ones are inverted.",
        choices=POLARITIES,
    )
    eight_bit: str = option(
        "stabilise",
        "Treatment of 8-bit thermal frames. `pass`: unchanged. `stabilise`: corrected after jumps "
        "of the camera's automatic gain, unchanged until there is one. `map`: through the tone "
        "curve, as 16-bit frames.",
        choices=EIGHT_BIT,
    )
    smoothing_s: float = option(
        2.0,
        "Time constant with which the tone curve follows the scene. 0: each frame has its own.",
        within=(0.0, 600.0),
    )
    scene_change: float = option(
        0.10,
        "Shift of the 10th to 80th percentile [share of the range in use] that counts as a new "
        "scene; the tone curve then follows at once. 0: never.",
        within=(0.0, 10.0),
    )
    crop_top_percent: float = option(
        0.0,
        "Share of the thermal frame's rows [percent] to remove at the top, for example 50 for a "
        "camera that sends a rendering above the counts (Topdon, InfiRay).",
        within=(0.0, 75.0),
    )
    crop_bottom_percent: float = option(
        0.0,
        "Share of the thermal frame's rows [percent] to remove at the bottom.",
        within=(0.0, 75.0),
    )
    telemetry_rows_top: int = option(
        0,
        "Number of telemetry rows to remove at the top, after `crop_top_percent`.",
        within=(0, 64),
    )
    telemetry_rows_bottom: int = option(
        0,
        "Number of telemetry rows to remove at the bottom, for example 2 for a Boson 640 that "
        "sends 514 rows.",
        within=(0, 64),
    )
    dead_pixels: tuple[int, ...] = option(
        (), "Dead pixels as column, row, column, row, ...; replaced by the median around them."
    )
    region: tuple[float, ...] = option(
        (),
        "Polygon that determines the tone curve, as x, y, x, y, ... in shares of the frame's width "
        "and height; empty: the whole frame.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.crop_top_percent + self.crop_bottom_percent > 75:
            raise ValueError(
                f"crop_top_percent is {self.crop_top_percent:g} and crop_bottom_percent is "
                f"{self.crop_bottom_percent:g}; allowed is a sum of 75 at most"
            )
        for low, high in (("low_percent", "high_percent"), ("fixed_low", "fixed_high")):
            if not getattr(self, low) < getattr(self, high):
                raise ValueError(
                    f"{low} is {getattr(self, low)} and {high} is {getattr(self, high)}; "
                    f"allowed is {low} < {high}"
                )
        if self.celsius_unit() is None and self.emissivity < 1:
            raise ValueError(
                f"emissivity is {self.emissivity:g} and unit is 'counts'; set unit to that of the "
                "thermal camera, or emissivity to 1"
            )
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

        self._check_region()

    def _check_region(self) -> None:
        """Refuse a region that is no polygon inside the frame, or has hardly any area."""
        x, y = self.region[::2], self.region[1::2]
        area = abs(sum(x[n - 1] * y[n] - x[n] * y[n - 1] for n in range(len(y)))) / 2
        inside = all(0 <= share <= 1 for share in self.region)
        if self.region and not (len(x) == len(y) >= 3 and inside and area >= LEAST_REGION):
            raise ValueError(
                f"region is {str(self.region)[:120]}; allowed are 3 corners and more, each 0 to 1, "
                f"around {LEAST_REGION:g} of the frame and more"
            )

    def _check_fixed_limits(self) -> None:
        """Refuse black and white that are too close or too far apart in the camera's numbers."""
        black, white = self.fixed_limits()
        if not (LEAST_SPAN <= abs(white - black) < MOST_SPAN):
            raise ValueError(
                f"fixed_low is {self.fixed_low}, fixed_high is {self.fixed_high}, unit is "
                f"{self.unit!r} and linear_scale is {self.linear_scale}: black and white differ by "
                f"{abs(white - black):g} of the camera's own numbers; allowed is {LEAST_SPAN:g} to "
                f"{MOST_SPAN:g}"
            )

    def celsius_unit(self) -> thermal_units.LinearUnit | None:
        """Return the conversion of the camera's numbers to degrees Celsius, None for counts."""
        unit = thermal_units.unit(
            self.unit, linear_scale=self.linear_scale, linear_offset=self.linear_offset
        )
        return unit and unit.corrected(self.emissivity, self.reflected_celsius)

    def fixed_limits(self) -> tuple[float, float]:
        """Return black and white of mode `fixed` in the camera's own numbers."""
        unit = self.celsius_unit()
        if unit is None:
            return self.fixed_low, self.fixed_high
        return unit.from_celsius(self.fixed_low), unit.from_celsius(self.fixed_high)
