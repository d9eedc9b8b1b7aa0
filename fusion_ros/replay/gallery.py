# SPDX-License-Identifier: Apache-2.0
"""Images for the report: three panels per pair, kept as JPEG."""

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
    """The images of one pair: JPEG bytes by panel, about 40 kB each."""

    pair: int
    why: str
    panels: dict[str, bytes]

    def smaller(self, width: int = SMALL_WIDTH) -> Moment:
        """Return the moment with smaller images."""
        panels = {
            name: _jpeg(_fit(np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), 1)), width), 74)
            for name, data in self.panels.items()
        }
        return Moment(self.pair, self.why, panels)


def keep_moment(
    pair: int, visible: np.ndarray, thermal: np.ndarray, fused: np.ndarray, *, why: str = ""
) -> Moment:
    """Encode three panels as JPEG from `uint8` HxW or HxWx3 images in RGB order."""
    images = dict(zip(PANELS, (visible, thermal, fused), strict=True))
    panels = {name: encode_jpeg(_fit(image, LARGE_WIDTH)) for name, image in images.items()}
    return Moment(pair, why, panels)


def with_boxes(
    image: np.ndarray, *, missed: Sequence[Sequence[float]], found: Sequence[Sequence[float]]
) -> np.ndarray:
    """Return a copy in RGB with boxes around found objects (green) and missed ones (red)."""
    colour = image.ndim == 3
    drawn = image.copy() if colour else cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    thickness = max(1, round(image.shape[1] / LARGE_WIDTH * 1.5))
    for boxes, rgb in ((found, (60, 220, 90)), (missed, (255, 50, 50))):
        for x1, y1, x2, y2 in boxes:
            corners = (round(x1), round(y1)), (round(x2), round(y2))
            cv2.rectangle(drawn, *corners, rgb, thickness)
    return drawn


def encode_jpeg(image: np.ndarray, quality_percent: int = _QUALITY) -> bytes:
    """Encode a `uint8` image, HxW or HxWx3 in RGB order."""
    return _jpeg(
        cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image, quality_percent
    )


def _fit(image: np.ndarray, width: int) -> np.ndarray:
    if image.shape[1] <= width:
        return image
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def _jpeg(image: np.ndarray, quality_percent: int) -> bytes:
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality_percent])
    if not done:
        raise ValueError(f"{image.dtype} {image.shape} cannot be encoded as JPEG")
    return data.tobytes()
