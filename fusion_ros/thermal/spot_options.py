# SPDX-License-Identifier: Apache-2.0
"""Options of the hot spots; importing this module needs no OpenCV."""

from __future__ import annotations

from dataclasses import dataclass

from fusion_ros.options import check_options, option

MODES = ("off", "absolute", "above_median")


@dataclass(frozen=True)
class SpotOptions:
    """Which regions of a thermal frame are reported.

    Raises:
        ValueError: an option outside its range.
    """

    mode: str = option(
        "off",
        "Regions that `thermal/spots` lists. `absolute`: hotter than `limit`. `above_median`: more "
        "than `limit` above the median of the frame. `off`: the topic is not published.",
        choices=MODES,
    )
    limit: float = option(
        50.0,
        "Threshold of `mode` [degrees Celsius, or counts where the unit is `counts`].",
        low=-1e6,
        high=1e6,
    )
    least_area_px: int = option(
        4, "Smallest region that is listed [thermal pixels].", low=1, high=1_000_000
    )

    def __post_init__(self) -> None:
        check_options(self)
