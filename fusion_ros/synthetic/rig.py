# SPDX-License-Identifier: Apache-2.0
"""A rig of two cameras: the thermal one beside the visible one, with a longer lens, and rolled.

`config/demo_calibration.yaml` holds the homography of this rig; a test compares the two.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

ZOOM = 1.18
"""The thermal image shows 1 / ZOOM of the width and height of the visible one."""
SHIFT_X, SHIFT_Y = 0.03, -0.02
"""Offset of the centre of the thermal image, as a share of the width of the visible one."""
ROLL_DEGREES = 1.2


def thermal_to_visible(thermal_size: tuple[int, int], visible_size: tuple[int, int]) -> np.ndarray:
    """Return the homography, float64 3x3, from thermal to visible pixels (centres are whole).

    Args:
        thermal_size, visible_size: width and height in pixels.
    """
    (thermal_width, thermal_height), (width, height) = thermal_size, visible_size
    to_centre = np.array(
        [[1, 0, -(thermal_width - 1) / 2], [0, 1, -(thermal_height - 1) / 2], [0, 0, 1]]
    )
    scale = width / thermal_width / ZOOM
    roll = math.radians(ROLL_DEGREES)
    turn = np.array(
        [
            [scale * math.cos(roll), -scale * math.sin(roll), 0],
            [scale * math.sin(roll), scale * math.cos(roll), 0],
            [0, 0, 1],
        ]
    )
    x, y = (width - 1) / 2 + SHIFT_X * width, (height - 1) / 2 + SHIFT_Y * width
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]]) @ turn @ to_centre


def seen_by_thermal_camera(pixels: np.ndarray) -> np.ndarray:
    """Warp an image of the visible camera to the view of the thermal camera."""
    height, width = pixels.shape[:2]
    place = thermal_to_visible((width, height), (width, height))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpPerspective(
        pixels, place, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
