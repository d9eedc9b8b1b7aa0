# SPDX-License-Identifier: Apache-2.0
"""Thermal images in false colour, for viewing; detectors receive grey images."""

from __future__ import annotations

import cv2
import numpy as np

from fusion_ros.imaging.encodings import ChannelOrder

# Grey level to RGB at a few points, linear between them; similar to thermographic "iron" palettes.
_IRON_POINTS = {
    0: (0, 0, 10),
    32: (30, 0, 100),
    80: (120, 0, 155),
    128: (200, 35, 120),
    176: (240, 110, 20),
    216: (255, 190, 30),
    255: (255, 255, 240),
}


def _iron() -> np.ndarray:
    at, colours = list(_IRON_POINTS), np.array(list(_IRON_POINTS.values()))
    channels = [np.interp(np.arange(256), at, colours[:, c]) for c in range(3)]
    return np.rint(np.stack(channels, axis=1)).astype(np.uint8)


def _of_opencv(code: int) -> np.ndarray:
    ramp = np.arange(256, dtype=np.uint8).reshape(256, 1)
    return np.ascontiguousarray(cv2.applyColorMap(ramp, code)[:, 0, ::-1])


_TABLES = {
    "white_hot": lambda: np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1),
    "black_hot": lambda: np.repeat(np.arange(256, dtype=np.uint8)[::-1, None], 3, axis=1),
    "inferno": lambda: _of_opencv(cv2.COLORMAP_INFERNO),
    "iron": _iron,
    "turbo": lambda: _of_opencv(cv2.COLORMAP_TURBO),
}


def palette_table(name: str, order: ChannelOrder | str = ChannelOrder.RGB) -> np.ndarray:
    """Return the 256 colours of a palette, one of `PALETTES`, `uint8` 256x3 in `order`."""
    table = _TABLES[name]()
    return table[:, ::-1].copy() if ChannelOrder(order) is ChannelOrder.BGR else table


def colourised(
    thermal: np.ndarray, palette: str, order: ChannelOrder | str = ChannelOrder.RGB
) -> np.ndarray:
    """Return a thermal image (`uint8` HxW) in false colours, `uint8` HxWx3 in `order`."""
    table = palette_table(palette, order).reshape(1, 256, 3)
    return cv2.LUT(cv2.cvtColor(thermal, cv2.COLOR_GRAY2RGB), table)
