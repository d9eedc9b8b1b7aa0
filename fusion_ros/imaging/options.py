# SPDX-License-Identifier: Apache-2.0
"""Options of colour and overlay; importing this module needs no OpenCV."""

from __future__ import annotations

from dataclasses import dataclass

from fusion_ros.options import Options, option

PALETTES = ("white_hot", "black_hot", "inferno", "iron", "turbo")
OVERLAY_MODES = ("blend", "isotherm", "edges", "inset", "side_by_side")
NO_TEMPERATURE = -273.15
"""Value of `isotherm_celsius` that leaves the limit to `isotherm_percent`."""


@dataclass(frozen=True)
class ColourOptions(Options):
    """How the visible camera's colour is added to the fused luma."""

    dark_luma: int = option(
        40,
        "Visible luma [grey levels] below which colour fades out where the thermal image makes a "
        "pixel brighter. At night this colour is mostly sensor noise. 0 keeps all colour.",
        within=(0, 255),
    )


@dataclass(frozen=True)
class OverlayOptions(Options):
    """How thermal and visible image are shown together, for people."""

    mode: str = option(
        "blend",
        "Content of `fused/overlay`, an image for people that is made only while it has a "
        "subscriber. `blend`: thermal in false colours over the visible image, more opaque where "
        "it is hotter. `isotherm`: only above a limit. `edges`: thermal with the detail of the "
        "visible image. `inset`: thermal small in the lower right corner. `side_by_side`: visible "
        "left, thermal right.",
        choices=OVERLAY_MODES,
    )
    palette: str = option("inferno", "False colours of `fused/overlay`.", choices=PALETTES)
    opacity: float = option(
        0.6,
        "Opacity of the hottest pixels of `fused/overlay` in mode `blend`, of all pixels above "
        "the limit in mode `isotherm` [0 to 1].",
        within=(0.0, 1.0),
    )
    isotherm_percent: float = option(
        95.0,
        "Limit of mode `isotherm` [percent of the pixels that are colder].",
        within=(0.0, 100.0),
    )
    isotherm_celsius: float = option(
        NO_TEMPERATURE,
        "Limit of mode `isotherm` [degrees Celsius]; it needs the unit of the thermal camera. "
        "-273.15: by `isotherm_percent`.",
        within=(NO_TEMPERATURE, 10000.0),
    )
    scale_bar: bool = option(
        True, "Draw a scale with temperatures where the unit of the thermal camera is known."
    )
    spots: bool = option(
        False,
        "Draw the hottest and the coldest place, the regions of `spots_mode` and the zones of "
        "`zones_file`.",
    )
