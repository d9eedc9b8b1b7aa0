# SPDX-License-Identifier: Apache-2.0
"""Extract the luma of a colour image, and replace it while keeping the colour.

BT.601 at full range (JPEG, OpenCV's YCrCb): Y = 0.299 R + 0.587 G + 0.114 B.

Replacing Y by Y' in YCrCb with Cr and Cb kept adds Y' - Y to each of R, G and B. A saturating
addition of bytes does the same without two conversions. It is exact where YCrCb rounds its chroma
to eight bits, and equal for RGB and BGR.
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
    """Return the BT.601 luma, `uint8` HxW, of `uint8` HxWx3 in `order`; grey HxW itself."""
    if pixels.ndim == 2:
        return pixels
    bgr = ChannelOrder(order) is ChannelOrder.BGR
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY if bgr else cv2.COLOR_RGB2GRAY, dst=out)


class LumaReplacer:
    """Replaces the luma of colour images; keeps its working memory between frames of one size.

    Where Y' exceeds Y the difference is added. A channel stops at 255, so bright colours fade to
    white as in an overexposed photograph.

    Where Y' is below Y the colour is scaled by Y' / Y, which keeps hue and saturation. Plain
    subtraction, equal to a conversion through YCrCb, would turn a darkened grey-blue wall deep
    blue.

    With `dark_luma` above 0, colour fades where the visible image is darker than that and the new
    luma brighter than the old: there the thermal image would light up chroma noise.
    """

    def __init__(self, *, dark_luma: int = 0) -> None:
        self.dark_luma = dark_luma
        self._colour: np.ndarray = np.empty(0, np.uint8)
        self._greys: np.ndarray = np.empty((5, 0, 0), np.uint8)

    def __call__(
        self,
        pixels: np.ndarray,
        new_luma: np.ndarray,
        *,
        old_luma: np.ndarray | None = None,
        order: ChannelOrder | str = ChannelOrder.RGB,
        window: tuple[slice, slice] | None = None,
    ) -> np.ndarray:
        """Return `pixels` (`uint8` HxWx3) in the same order with the luma `new_luma` (`uint8` HxW).

        Args:
            pixels, new_luma: of one height and width. For grey `pixels` returns `new_luma`.
            old_luma: the luma of `pixels`, if the caller has it.
            order: order of the channels, used only without `old_luma`.
            window: rows and columns outside which the luma stays as it is.

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
        image = None if window is None else pixels.copy()
        window = window or np.s_[:, :]
        pixels, new_luma = pixels[window], new_luma[window]
        if self._colour.shape != pixels.shape:
            self._colour = np.empty_like(pixels, order="C")
            self._greys = np.empty((5, *new_luma.shape), np.uint8)
        old, up, down, work, _ = self._greys
        old_luma = luma(pixels, order=order, out=old) if old_luma is None else old_luma[window]
        cv2.subtract(new_luma, old_luma, dst=up)
        # Y' / Y in 255ths; where Y' >= Y it saturates at 255, which keeps the colour.
        cv2.divide(new_luma, old_luma, dst=down, scale=255.0)
        cv2.compare(old_luma, new_luma, cv2.CMP_LE, dst=work)
        cv2.max(down, work, dst=down)
        if self.dark_luma:
            self._fade_dark_colour(old_luma, new_luma, up, down)
        cv2.cvtColor(down, cv2.COLOR_GRAY2RGB, dst=self._colour)
        out = None if image is None else image[window]
        lowered = cv2.multiply(pixels, self._colour, dst=out, scale=1.0 / 255.0)
        cv2.cvtColor(up, cv2.COLOR_GRAY2RGB, dst=self._colour)
        cv2.add(lowered, self._colour, dst=lowered)
        return lowered if image is None else image

    def _fade_dark_colour(
        self, old_luma: np.ndarray, new_luma: np.ndarray, up: np.ndarray, down: np.ndarray
    ) -> None:
        """Lower `down` where dark pixels get brighter, and raise `up` by the removed luma."""
        # The effect grows with darkness and with brightening, up to 32 grey levels.
        *_, work, fading = self._greys
        cv2.blur(old_luma, (5, 5), dst=fading)
        # OpenCV accepts scalars here; its type stubs do not.
        cv2.subtract(float(self.dark_luma), fading, dst=fading)  # type: ignore[call-overload]
        brightening = cv2.min(up, 32.0, dst=work)  # type: ignore[call-overload]
        scale = 255.0 / (self.dark_luma * 32)
        cv2.multiply(fading, brightening, dst=fading, scale=scale)
        if not cv2.hasNonZero(fading):
            return
        cv2.min(down, cv2.bitwise_not(fading, dst=fading), dst=down)
        left = cv2.multiply(old_luma, down, dst=fading, scale=1.0 / 255.0)
        cv2.subtract(new_luma, left, dst=up)
