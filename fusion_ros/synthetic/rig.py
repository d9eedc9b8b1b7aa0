# SPDX-License-Identifier: Apache-2.0
"""A rig as robots have it: the thermal camera beside the visible one, with a longer lens, askew.

`config/demo_calibration.yaml` holds the homography that undoes it; a test holds the two together.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

ZOOM = 1.18
"""The thermal picture shows 1 / ZOOM of the visible one's width and height."""
SHIFT_X, SHIFT_Y = 0.03, -0.02
"""Where the thermal picture's centre lies beside the visible one's, as shares of its width."""
ROLL_DEGREES = 1.2


def thermal_to_visible(thermal_size: tuple[int, int], visible_size: tuple[int, int]) -> np.ndarray:
    """The homography, float64 3x3, from thermal to visible pixels (pixel centres are whole).

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


def as_the_thermal_camera_sees(pixels: np.ndarray) -> np.ndarray:
    """A picture taken from the visible camera's place, as the thermal camera of the rig sees it."""
    height, width = pixels.shape[:2]
    place = thermal_to_visible((width, height), (width, height))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpPerspective(
        pixels, place, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
