# SPDX-License-Identifier: Apache-2.0
"""Options of colour and overlay; importing this module needs no OpenCV."""

from __future__ import annotations

from dataclasses import dataclass

from fusion_ros.options import check_options, option

PALETTES = ("grey", "inferno", "iron", "turbo")


@dataclass(frozen=True)
class ColourOptions:
    """How the visible camera's colour is added to the fused luma.

    Raises:
        ValueError: an option outside its range.
    """

    dark_luma: int = option(
        40,
        "Visible luma [grey levels] below which colour fades out where the thermal image makes a "
        "pixel brighter. At night this colour is mostly sensor noise. 0 keeps all colour.",
        low=0,
        high=255,
    )

    def __post_init__(self) -> None:
        check_options(self)


@dataclass(frozen=True)
class OverlayOptions:
    """False-colour thermal image over the visible image, for people.

    Raises:
        ValueError: an option outside what is allowed.
    """

    palette: str = option(
        "inferno",
        "False colours of `fused/overlay`, the thermal image over the visible one. It is made for "
        "people, not for detectors, and only while it has a subscriber.",
        choices=PALETTES,
    )
    opacity: float = option(
        0.6,
        "Opacity of the hottest pixels of `fused/overlay` [0 to 1]; colder ones are more "
        "transparent.",
        low=0.0,
        high=1.0,
    )

    def __post_init__(self) -> None:
        check_options(self)
