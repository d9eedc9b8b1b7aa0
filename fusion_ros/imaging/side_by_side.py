# SPDX-License-Identifier: Apache-2.0
"""Images in a row, for triptychs, videos and demonstrations."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from fusion_ros.imaging.encodings import ChannelOrder

STRIP = 34
"""Height of the strip with a panel's label."""
_BACKGROUND, _INK = (28, 24, 22), (235, 232, 228)

Size = tuple[int, int]
"""Width and height in pixels."""


def video_panel_size(image: np.ndarray, width: int) -> Size:
    """Return the size of a panel that is `width` pixels wide; its height is even, as mp4 needs."""
    return width, round(image.shape[0] * width / image.shape[1] / 2) * 2


def side_by_side(
    panels: Mapping[str, np.ndarray],
    *,
    size: Size | None = None,
    order: ChannelOrder = ChannelOrder.RGB,
    labelled: bool = True,
) -> np.ndarray:
    """Arrange `uint8` images, HxW or HxWx3 in `order`, in a row, with their labels above.

    By default each panel has the size of the first image. The result is in BGR order, and HxW
    where no image is in colour and no label is drawn.
    """
    images = list(panels.values())
    size = size or (images[0].shape[1], images[0].shape[0])
    if labelled or any(image.ndim == 3 for image in images):
        images = [_bgr(image, order) for image in images]
    images = [_resized(image, size) for image in images]
    if labelled:
        images = [
            np.vstack([_strip(label, size[0]), image])
            for label, image in zip(panels, images, strict=True)
        ]
    return np.hstack(images)


def _bgr(image: np.ndarray, order: ChannelOrder) -> np.ndarray:
    if image.ndim == 2:
        return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    return cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if order is ChannelOrder.RGB else image


def _resized(image: np.ndarray, size: Size) -> np.ndarray:
    if image.shape[1::-1] == size:
        return image
    shrinks = image.shape[1] > size[0]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _strip(label: str, width: int) -> np.ndarray:
    strip = np.full((STRIP, width, 3), _BACKGROUND, np.uint8)
    corner = (10, STRIP - 11)
    return cv2.putText(strip, label, corner, cv2.FONT_HERSHEY_DUPLEX, 0.6, _INK, 1, cv2.LINE_AA)
