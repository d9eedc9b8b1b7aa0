# SPDX-License-Identifier: Apache-2.0
"""Bayer patterns and YUV, converted by OpenCV.

`encodings` checks the sizes before calling this module.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class ExoticSource:
    """Memory layout of one encoding, and the OpenCV conversion to RGB."""

    conversion: int
    dtype: type = np.uint8
    channels: int = 1
    even_width: int = 1
    even_height: int = 1
    rows_per_two: int = 2
    """Rows of bytes for two rows of pixels: 3 if half-height chroma planes follow the luma."""


def _packed(conversion: int) -> ExoticSource:
    return ExoticSource(conversion, channels=2, even_width=2)


def _planar(conversion: int) -> ExoticSource:
    return ExoticSource(conversion, even_width=2, even_height=2, rows_per_two=3)


_UYVY = _packed(cv2.COLOR_YUV2RGB_UYVY)
_YUYV = _packed(cv2.COLOR_YUV2RGB_YUY2)
_BAYER = {
    "rggb": cv2.COLOR_BayerRGGB2RGB,
    "bggr": cv2.COLOR_BayerBGGR2RGB,
    "gbrg": cv2.COLOR_BayerGBRG2RGB,
    "grbg": cv2.COLOR_BayerGRBG2RGB,
}

SOURCES: dict[str, ExoticSource] = {
    **{f"bayer_{name}8": ExoticSource(code) for name, code in _BAYER.items()},
    **{f"bayer_{name}16": ExoticSource(code, np.uint16) for name, code in _BAYER.items()},
    "yuv422": _UYVY,  # ROS's older name for the same bytes
    "uyvy": _UYVY,
    "yuv422_yuy2": _YUYV,
    "yuyv": _YUYV,
    "nv12": _planar(cv2.COLOR_YUV2RGB_NV12),
    "nv21": _planar(cv2.COLOR_YUV2RGB_NV21),
}

NAMES: tuple[str, ...] = tuple(SOURCES)


def to_rgb(pixels: np.ndarray, source: ExoticSource) -> np.ndarray:
    """Convert pixels to `uint8` HxWx3 RGB.

    YUV is read as BT.601 video range, as in OpenCV and cv_bridge. 16-bit Bayer is assumed to use
    all 16 bits; its high byte is kept.
    """
    rgb = cv2.cvtColor(np.ascontiguousarray(pixels), source.conversion)
    return cv2.convertScaleAbs(rgb, alpha=1 / 257) if source.dtype is np.uint16 else rgb
