# SPDX-License-Identifier: Apache-2.0
"""Pictures for the report: three panels a moment, as JPEG until it is known which to show."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np

PANELS = ("visible", "thermal", "fused")
LARGE_WIDTH, SMALL_WIDTH = 480, 288
_QUALITY = 80


@dataclasses.dataclass(frozen=True)
class Moment:
    """The pictures of one pair, JPEG bytes by panel; 40 kB or so a panel."""

    pair: int
    why: str
    panels: dict[str, bytes]

    def smaller(self, width: int = SMALL_WIDTH) -> Moment:
        """The same in fewer pixels."""
        panels = {
            name: _jpeg(_fit(cv2.imdecode(np.frombuffer(data, np.uint8), 1), width), 74)
            for name, data in self.panels.items()
        }
        return Moment(self.pair, self.why, panels)


def keep_moment(
    pair: int, visible: np.ndarray, thermal: np.ndarray, fused: np.ndarray, *, why: str = ""
) -> Moment:
    """Three panels as JPEG. Pictures are `uint8` HxW or HxWx3 in RGB order."""
    pictures = dict(zip(PANELS, (visible, thermal, fused), strict=True))
    panels = {
        name: _jpeg(_bgr(_fit(picture, LARGE_WIDTH)), _QUALITY)
        for name, picture in pictures.items()
    }
    return Moment(pair, why, panels)


def with_boxes(
    picture: np.ndarray, *, missed: Sequence[Sequence[float]], found: Sequence[Sequence[float]]
) -> np.ndarray:
    """Return a copy in RGB with frames around objects: found ones green, missed ones red."""
    colour = picture.ndim == 3
    drawn = picture.copy() if colour else cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB)
    thickness = max(1, round(picture.shape[1] / LARGE_WIDTH * 1.5))
    for boxes, rgb in ((found, (60, 220, 90)), (missed, (255, 50, 50))):
        for x1, y1, x2, y2 in boxes:
            corners = (round(x1), round(y1)), (round(x2), round(y2))
            cv2.rectangle(drawn, *corners, rgb, thickness)
    return drawn


def _bgr(picture: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(picture, cv2.COLOR_RGB2BGR) if picture.ndim == 3 else picture


def _fit(picture: np.ndarray, width: int) -> np.ndarray:
    if picture.shape[1] <= width:
        return picture
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


def _jpeg(picture: np.ndarray, quality_percent: int) -> bytes:
    done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality_percent])
    if not done:
        raise ValueError(f"no JPEG can be made of {picture.dtype} {picture.shape}")
    return data.tobytes()
