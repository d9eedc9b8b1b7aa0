# SPDX-License-Identifier: Apache-2.0
"""Luma out of a colour picture, and a new luma back in, with the colour kept.

BT.601 at full range (JPEG, OpenCV's YCrCb): Y = 0.299 R + 0.587 G + 0.114 B.

Replacing Y by Y' in YCrCb with Cr and Cb kept adds Y' - Y to each of R, G and B. That is how it is
done here: two saturating additions of bytes instead of two conversions, exact where YCrCb rounds
its chroma to eight bits, and the same for RGB and BGR.
"""

from __future__ import annotations

import cv2
import numpy as np

from fusion_ros.imaging.encodings import ChannelOrder


def luma(
    pixels: np.ndarray,
    *,
    order: ChannelOrder | str = ChannelOrder.RGB,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """BT.601 luma, `uint8` HxW, of `uint8` HxWx3 in `order`; grey HxW comes back as it is."""
    if pixels.ndim == 2:
        return pixels
    bgr = ChannelOrder(order) is ChannelOrder.BGR
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY if bgr else cv2.COLOR_RGB2GRAY, dst=out)


class LumaReplacer:
    """Gives a colour picture a new luma; keeps its working memory between frames of one size.

    Where Y' is above Y the difference is added, and a channel that passes 255 stops there, so
    bright colours fade to white as they do in an overexposed photograph.
    Where Y' is below Y the colour is scaled by Y' / Y: hue and saturation stay, nothing is cut off
    at 0. Plain addition there (`natural=False`, what a trip through YCrCb gives) turns a darkened
    grey-blue wall deep blue, and leaves it brighter than asked where a channel was cut off.

    With `dark_luma` above 0, colour fades where the visible picture is darker than that and the new
    luma brighter than the old: there the colour is noise, and the thermal picture lights it up.
    (Only with `natural`.)
    """

    def __init__(self, *, natural: bool = True, dark_luma: int = 0) -> None:
        self.natural = natural
        self.dark_luma = dark_luma
        self._old = self._up = self._down = self._fading = self._work = np.empty(0, np.uint8)
        self._colour = np.empty(0, np.uint8)

    def __call__(
        self,
        pixels: np.ndarray,
        new_luma: np.ndarray,
        *,
        old_luma: np.ndarray | None = None,
        order: ChannelOrder | str = ChannelOrder.RGB,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """The colours of `pixels` (`uint8` HxWx3) with `new_luma` (`uint8` HxW), in the same order.

        `old_luma` is the luma of `pixels` where the caller has it already; `order` matters only
        without it. A new array unless `out` is given. Grey `pixels` answer `new_luma`.

        Raises:
            ValueError: sizes that differ.
        """
        if pixels.shape[:2] != new_luma.shape:
            raise ValueError(
                f"new_luma is {new_luma.shape}, pixels are {pixels.shape}: height and width must "
                "be the same; register the thermal frame onto the visible grid first"
            )
        if pixels.ndim == 2:
            return new_luma
        if self._colour.shape != pixels.shape:
            self._colour = np.empty_like(pixels, order="C")
            greys = (np.empty(new_luma.shape, np.uint8) for _ in range(5))
            self._old, self._up, self._down, self._fading, self._work = greys
        if old_luma is None:
            old_luma = luma(pixels, order=order, out=self._old)
        up, down = self._up, self._down
        cv2.subtract(new_luma, old_luma, dst=up)
        if self.natural:
            # Y' / Y in 255ths; where Y' >= Y it saturates at 255, which leaves the colour alone.
            cv2.divide(new_luma, old_luma, dst=down, scale=255.0)
            cv2.compare(old_luma, new_luma, cv2.CMP_LE, dst=self._work)
            cv2.max(down, self._work, dst=down)
            if self.dark_luma:
                self._fade_dark_colour(old_luma, new_luma, up, down)
            cv2.cvtColor(down, cv2.COLOR_GRAY2RGB, dst=self._colour)
            lowered = cv2.multiply(pixels, self._colour, dst=out, scale=1.0 / 255.0)
        else:
            cv2.subtract(old_luma, new_luma, dst=down)
            cv2.cvtColor(down, cv2.COLOR_GRAY2RGB, dst=self._colour)
            lowered = cv2.subtract(pixels, self._colour, dst=out)
        cv2.cvtColor(up, cv2.COLOR_GRAY2RGB, dst=self._colour)
        return cv2.add(lowered, self._colour, dst=lowered)

    def _fade_dark_colour(
        self, old_luma: np.ndarray, new_luma: np.ndarray, up: np.ndarray, down: np.ndarray
    ) -> None:
        """Lower `down` where dark pixels get brighter; raise `up` by the luma that goes with it."""
        # Full effect from 32 grey levels of brightening on, none without; the darker the fuller.
        fading = cv2.blur(old_luma, (5, 5), dst=self._fading)
        cv2.subtract(float(self.dark_luma), fading, dst=fading)
        scale = 255.0 / (self.dark_luma * 32)
        cv2.multiply(fading, cv2.min(up, 32.0, dst=self._work), dst=fading, scale=scale)
        if not cv2.hasNonZero(fading):
            return
        cv2.min(down, cv2.bitwise_not(fading, dst=fading), dst=down)
        left = cv2.multiply(old_luma, down, dst=fading, scale=1.0 / 255.0)
        cv2.subtract(new_luma, left, dst=up)


def replace_luma(
    pixels: np.ndarray,
    new_luma: np.ndarray,
    *,
    old_luma: np.ndarray | None = None,
    order: ChannelOrder | str = ChannelOrder.RGB,
    natural: bool = True,
) -> np.ndarray:
    """`LumaReplacer` for a single picture."""
    return LumaReplacer(natural=natural)(pixels, new_luma, old_luma=old_luma, order=order)
