# SPDX-License-Identifier: Apache-2.0
"""Images that show whether a calibration is correct."""

from __future__ import annotations

import cv2
import numpy as np

from fusion_ros.calibration.description import registration_mode
from fusion_ros.imaging.contrast import equalised
from fusion_ros.registration.geometry import Calibration
from fusion_ros.registration.options import RegistrationOptions
from fusion_ros.registration.warp import ThermalRegistration


def before_and_after(
    visible: np.ndarray, thermal: np.ndarray, calibration: Calibration
) -> np.ndarray:
    """Draw thermal edges in orange over the grey visible image, stretched (left) and registered.

    `visible` and `thermal` are grey HxW; the result is `uint8` Hx2Wx3 in BGR order.
    """
    grey = equalised(thermal)
    options = RegistrationOptions(mode=registration_mode(calibration))
    register = ThermalRegistration(options, calibration)
    shape = visible.shape[:2]
    height, width = shape
    stretched = cv2.resize(grey, (width, height), interpolation=cv2.INTER_LINEAR)
    registered = register(grey, shape)
    weights = register.validity(grey.shape, shape)
    inside = np.ones(shape, bool) if weights is None else weights > 0
    return np.hstack(
        (_with_edges(visible, stretched, np.ones(shape, bool)),
         _with_edges(visible, registered, inside))
    )  # fmt: skip


def _with_edges(visible: np.ndarray, thermal: np.ndarray, inside: np.ndarray) -> np.ndarray:
    base: np.ndarray = cv2.cvtColor(equalised(visible) // 2 + 30, cv2.COLOR_GRAY2BGR)
    smooth = cv2.GaussianBlur(thermal, (0, 0), 1.5)
    edges = cv2.Canny(smooth, 25, 60) > 0
    base[edges & inside] = (40, 150, 255)
    border = inside ^ (cv2.erode(inside.astype(np.uint8), np.ones((3, 3)), borderValue=1) > 0)
    base[border] = (80, 255, 80)
    return base
