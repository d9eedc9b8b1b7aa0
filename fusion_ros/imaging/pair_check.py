# SPDX-License-Identifier: Apache-2.0
"""Signs that a pair of pictures, or its fused picture, is not what its user expects."""

from __future__ import annotations

from enum import Enum

import numpy as np

from fusion_ros.imaging.encodings import PixelFrame

_COLOURFUL = 3.0
"""Mean spread of a frame's channels, in grey levels, from which it is a colour picture."""
_STEP = 16
_SAMPLED = 32
"""Rows and columns that are looked at for colours: the fuse node has 0.1 ms for it."""


class PairDoubt(str, Enum):
    """A sign; the values are names for machines."""

    SAME_PICTURE = "same_picture"
    SWAPPED = "swapped_inputs"
    FALSE_COLOUR = "thermal_shows_colours"
    RENDERING = "radiometric_rendering"
    THERMAL_CONSTANT = "thermal_constant"
    FUSED_CONSTANT = "fused_constant"
    FUSED_IS_VISIBLE = "fused_is_visible"


DOUBT_TEXTS = {
    PairDoubt.SAME_PICTURE: "visible and thermal are the same picture",
    PairDoubt.SWAPPED: (
        "the thermal picture shows colours and the visible one is grey: are the two swapped?"
    ),
    PairDoubt.FALSE_COLOUR: (
        "the thermal picture shows colours (a palette?), of which only the brightness is used; "
        "export grey levels or 16-bit counts"
    ),
    PairDoubt.RENDERING: (
        "the picture of a radiometric JPEG is a rendering with palette, logo and scale, not the "
        "measured counts; export the counts as 16-bit PNG or TIFF"
    ),
    PairDoubt.THERMAL_CONSTANT: "the thermal picture has one value everywhere",
    PairDoubt.FUSED_CONSTANT: "the fused picture has one value everywhere",
    PairDoubt.FUSED_IS_VISIBLE: (
        "the fused picture equals the visible one bit for bit: the thermal one has no effect"
    ),
}
"""What each sign says to people."""


def input_doubts(visible: PixelFrame, thermal: PixelFrame) -> tuple[PairDoubt, ...]:
    """Return the signs that two frames of a pair show."""
    doubts = []
    if thermal.rendering_of or visible.rendering_of:
        doubts.append(PairDoubt.RENDERING)
    if _are_equal(visible.pixels, thermal.pixels):
        doubts.append(PairDoubt.SAME_PICTURE)
    elif shows_colours(thermal.pixels):
        grey = not shows_colours(visible.pixels)
        doubts.append(PairDoubt.SWAPPED if grey else PairDoubt.FALSE_COLOUR)
    if is_constant(thermal.pixels):
        doubts.append(PairDoubt.THERMAL_CONSTANT)
    return tuple(doubts)


def result_doubts(visible: np.ndarray, fused: np.ndarray) -> tuple[PairDoubt, ...]:
    """Return the signs that a fused picture shows beside its visible one, in one channel order."""
    doubts = []
    if is_constant(fused):
        doubts.append(PairDoubt.FUSED_CONSTANT)
    if _are_equal(visible, fused):
        doubts.append(PairDoubt.FUSED_IS_VISIBLE)
    return tuple(doubts)


def shows_colours(pixels: np.ndarray) -> bool:
    """Whether a picture shows colours, and not grey stored in three channels."""
    if pixels.ndim != 3:
        return False
    rows, columns = (max(1, side // _SAMPLED) for side in pixels.shape[:2])
    channels = [pixels[::rows, ::columns, n].astype(np.int32) for n in range(3)]
    spread = np.maximum.reduce(channels) - np.minimum.reduce(channels)
    return float(spread.mean()) > _COLOURFUL


def _are_equal(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether all pixels are equal; a few settle it for most pictures."""
    return (
        first.shape == second.shape
        and bool((first[::_STEP, ::_STEP] == second[::_STEP, ::_STEP]).all())
        and np.array_equal(first, second)
    )


def is_constant(pixels: np.ndarray) -> bool:
    """Whether all pixels have one value (of each channel)."""
    first = pixels[:1, :1]
    # Few pixels settle it for all pictures but constant ones.
    return bool((pixels[::_STEP, ::_STEP] == first).all() and (pixels == first).all())
