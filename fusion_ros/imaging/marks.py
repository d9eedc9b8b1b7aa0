# SPDX-License-Identifier: Apache-2.0
"""Marks and labels drawn on an image for people."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from fusion_ros.imaging.encodings import ChannelOrder

WHITE = (255, 255, 255)


@dataclass(frozen=True, eq=False)
class Mark:
    """A polygon, or a cross at a single point, with an ASCII label, in an RGB colour.

    A mark with a corner (Nx2, x and y in pixels) that is not finite is not drawn.
    """

    corners: np.ndarray
    label: str = ""
    colour: tuple[int, int, int] = WHITE


def draw_marks(
    image: np.ndarray, marks: Iterable[Mark], order: ChannelOrder | str = ChannelOrder.RGB
) -> None:
    """Draw marks on an image (`uint8` HxWx3 in `order`), in place."""
    size = image.shape[0] / 60
    for mark in marks:
        if not np.isfinite(mark.corners).all():
            continue
        # OpenCV's coordinates are limited.
        corners = np.clip(np.rint(mark.corners), -10_000, 10_000).astype(np.int32)
        colour = mark.colour[:: -1 if ChannelOrder(order) is ChannelOrder.BGR else 1]
        for ink, thickness in (((0, 0, 0), 3), (colour, 1)):
            if len(corners) == 1:
                cross = cv2.MARKER_CROSS, max(5, round(size))
                cv2.drawMarker(image, corners[0].tolist(), ink, *cross, thickness)
            else:
                cv2.polylines(image, [corners], True, ink, thickness)
        left, top = corners.min(axis=0)
        row = top - size / 2 if top > 2 * size else corners[:, 1].max() + 2 * size
        draw_text(image, mark.label, (left, round(row)), colour)


def draw_text(
    image: np.ndarray,
    text: str,
    corner: tuple[int, int],
    colour: tuple[int, ...] = WHITE,
) -> None:
    """Write outlined text with its lower left corner at a pixel, in place."""
    scale = image.shape[0] / 1000
    for ink, thickness in (((0, 0, 0), 3), (colour, 1)):
        font = cv2.FONT_HERSHEY_SIMPLEX, scale, ink, thickness, cv2.LINE_AA
        cv2.putText(image, text, corner, *font)
