# SPDX-License-Identifier: Apache-2.0
"""Images for the report: three panels per pair, kept as JPEG."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np

PANELS = ("visible", "thermal", "fused")
_WIDTH = 384
"""Width of a panel on a page of the usual width."""
_QUALITY_PERCENT = 78


@dataclasses.dataclass(frozen=True)
class Moment:
    """The images of one pair: JPEG bytes by panel, about 20 kB each."""

    pair: int
    why: str
    panels: dict[str, bytes]


def keep_moment(
    pair: int, visible: np.ndarray, thermal: np.ndarray, fused: np.ndarray, *, why: str = ""
) -> Moment:
    """Encode three panels as JPEG from `uint8` HxW or HxWx3 images in RGB order."""
    images = dict(zip(PANELS, (visible, thermal, fused), strict=True))
    panels = {name: encode_jpeg(_fit(image)) for name, image in images.items()}
    return Moment(pair, why, panels)


def with_boxes(
    image: np.ndarray, *, missed: Sequence[Sequence[float]], found: Sequence[Sequence[float]]
) -> np.ndarray:
    """Return a copy in RGB with boxes around found objects (green) and missed ones (red)."""
    colour = image.ndim == 3
    drawn = image.copy() if colour else cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    thickness = max(1, round(image.shape[1] / _WIDTH * 1.2))
    for boxes, rgb in ((found, (60, 220, 90)), (missed, (255, 50, 50))):
        for x1, y1, x2, y2 in boxes:
            corners = (round(x1), round(y1)), (round(x2), round(y2))
            cv2.rectangle(drawn, *corners, rgb, thickness)
    return drawn


def encode_jpeg(image: np.ndarray) -> bytes:
    """Encode a `uint8` image, HxW or HxWx3 in RGB order."""
    stored = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    return cv2.imencode(".jpg", stored, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY_PERCENT])[1].tobytes()


def _fit(image: np.ndarray) -> np.ndarray:
    if image.shape[1] <= _WIDTH:
        return image
    height = max(1, round(image.shape[0] * _WIDTH / image.shape[1]))
    return cv2.resize(image, (_WIDTH, height), interpolation=cv2.INTER_AREA)
