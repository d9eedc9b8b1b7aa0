# SPDX-License-Identifier: Apache-2.0
"""Signs that a pair of images, or its fused image, is not as intended."""

from __future__ import annotations

from enum import Enum

import numpy as np

from fusion_ros.imaging.encodings import PixelFrame

_COLOURFUL = 3.0
"""Mean spread of an image's channels, in grey levels, above which it is a colour image."""
_STEP = 16
_SAMPLED = 32
"""Rows and columns searched for colours; the fuse node has 0.1 ms for this check."""


class PairDoubt(str, Enum):
    """A sign of a fault; the values are machine-readable names."""

    SAME_PICTURE = "same_picture"
    SWAPPED = "swapped_inputs"
    FALSE_COLOUR = "thermal_shows_colours"
    RENDERING = "radiometric_rendering"
    THERMAL_CONSTANT = "thermal_constant"
    FUSED_CONSTANT = "fused_constant"
    FUSED_IS_VISIBLE = "fused_is_visible"
    TEMPERATURES = "implausible_temperatures"


DOUBT_TEXTS = {
    PairDoubt.SAME_PICTURE: "visible and thermal are the same image",
    PairDoubt.SWAPPED: (
        "the thermal image shows colours and the visible one is grey: are the two swapped?"
    ),
    PairDoubt.FALSE_COLOUR: (
        "the thermal image shows colours (a palette?), of which only the brightness is used; "
        "export grey levels or 16-bit counts"
    ),
    PairDoubt.RENDERING: (
        "the image in a radiometric JPEG is a rendering with palette, logo and scale, not the "
        "measured counts; export the counts as 16-bit PNG or TIFF"
    ),
    PairDoubt.THERMAL_CONSTANT: "the thermal image has one value everywhere",
    PairDoubt.FUSED_CONSTANT: "the fused image has one value everywhere",
    PairDoubt.FUSED_IS_VISIBLE: (
        "the fused image equals the visible one bit for bit: the thermal one has no effect"
    ),
    PairDoubt.TEMPERATURES: "the temperatures of the thermal image are implausible",
}
"""Description of each sign for messages."""


def input_doubts(visible: PixelFrame, thermal: PixelFrame) -> tuple[PairDoubt, ...]:
    """Return the signs found in the two frames of a pair."""
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
    """Return the signs found in a fused image and its visible one, both in one channel order."""
    doubts = []
    if is_constant(fused):
        doubts.append(PairDoubt.FUSED_CONSTANT)
    if _are_equal(visible, fused):
        doubts.append(PairDoubt.FUSED_IS_VISIBLE)
    return tuple(doubts)


def shows_colours(pixels: np.ndarray) -> bool:
    """Return whether an image shows colours rather than grey stored in three channels."""
    if pixels.ndim != 3:
        return False
    rows, columns = (max(1, side // _SAMPLED) for side in pixels.shape[:2])
    channels = [pixels[::rows, ::columns, n].astype(np.int32) for n in range(3)]
    spread = np.maximum.reduce(channels) - np.minimum.reduce(channels)
    return float(spread.mean()) > _COLOURFUL


def _are_equal(first: np.ndarray, second: np.ndarray) -> bool:
    """Return whether all pixels are equal; a coarse grid decides it for most images."""
    return (
        first.shape == second.shape
        and bool((first[::_STEP, ::_STEP] == second[::_STEP, ::_STEP]).all())
        and np.array_equal(first, second)
    )


def is_constant(pixels: np.ndarray) -> bool:
    """Return whether all pixels have one value (in each channel), or none has a finite one."""
    first = pixels[:1, :1]
    if pixels.dtype.kind == "f" and not np.isfinite(first).all():
        return not np.isfinite(pixels[::_STEP, ::_STEP]).any() and not np.isfinite(pixels).any()
    # A coarse grid decides it for all images except constant ones.
    return bool((pixels[::_STEP, ::_STEP] == first).all() and (pixels == first).all())
