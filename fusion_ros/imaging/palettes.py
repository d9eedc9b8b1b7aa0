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


def palette_table(name: str, order: ChannelOrder | str = ChannelOrder.RGB) -> np.ndarray:
    """Return the 256 colours of a palette, one of `PALETTES`, `uint8` 256x3 in `order`."""
    ramp = np.arange(256, dtype=np.uint8)[:, None]
    if name in ("white_hot", "black_hot"):
        return np.repeat(ramp if name == "white_hot" else ramp[::-1], 3, axis=1)
    if name == "iron":
        at, colours = list(_IRON_POINTS), np.array(list(_IRON_POINTS.values()))
        channels = [np.interp(np.arange(256), at, colours[:, c]) for c in range(3)]
        bgr = np.rint(np.stack(channels[::-1], axis=1)).astype(np.uint8)
    else:
        bgr = cv2.applyColorMap(ramp, getattr(cv2, f"COLORMAP_{name.upper()}"))[:, 0]
    return np.ascontiguousarray(bgr if ChannelOrder(order) is ChannelOrder.BGR else bgr[:, ::-1])


def colourised(
    thermal: np.ndarray, palette: str, order: ChannelOrder | str = ChannelOrder.RGB
) -> np.ndarray:
    """Return a thermal image (`uint8` HxW) in false colours, `uint8` HxWx3 in `order`."""
    table = palette_table(palette, order).reshape(1, 256, 3)
    return cv2.LUT(cv2.cvtColor(thermal, cv2.COLOR_GRAY2RGB), table)
