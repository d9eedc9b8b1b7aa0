# SPDX-License-Identifier: Apache-2.0
"""Options of the hot spots; importing this module needs no OpenCV."""

from __future__ import annotations

from dataclasses import dataclass

from fusion_ros.options import Options, option

MODES = ("off", "absolute", "above_median")


@dataclass(frozen=True)
class SpotOptions(Options):
    """Which regions of a thermal frame are reported."""

    mode: str = option(
        "off",
        "Regions that `thermal/spots` lists. `absolute`: hotter than `limit`. `above_median`: more "
        "than `limit` above the median of the frame. `off`: the topic is not published.",
        choices=MODES,
    )
    limit: float = option(
        50.0,
        "Threshold of `mode` [degrees Celsius, or counts where the unit is `counts`].",
        within=(-1e6, 1e6),
    )
    least_area_px: int = option(
        4, "Smallest region that is listed [thermal pixels].", within=(1, 1_000_000)
    )
