# SPDX-License-Identifier: Apache-2.0
"""Where the thermal picture ends, the visible one goes on alone, without a hard edge."""

from __future__ import annotations

import cv2
import numpy as np


def feathered(valid: np.ndarray, feather_px: float) -> np.ndarray | None:
    """Weights of the thermal picture, `float32` HxW in 0..1, from where it is valid (bool HxW).

    Zero outside, rising to one over `feather_px` pixels inside. The picture's own border is no
    seam. None where everything is valid.
    """
    if valid.all():
        return None
    if feather_px <= 0 or not valid.any():
        return valid.astype(np.float32)
    inside_px = cv2.distanceTransform(valid.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.clip(inside_px / feather_px, 0.0, 1.0).astype(np.float32)


class SeamBlender:
    """Puts the visible picture where the thermal one is not valid; touches nothing else."""

    def __init__(self, weights: np.ndarray) -> None:
        self._strips = [
            (strip, np.ascontiguousarray(weights[strip]), 1.0 - weights[strip])
            for strip in _strips_around(_whole_rectangle(weights), weights.shape)
        ]

    def __call__(self, fused: np.ndarray, visible: np.ndarray) -> np.ndarray:
        """`fused` in place and back: a mixture with `visible`, both `uint8` HxW or HxWx3."""
        for strip, of_fused, of_visible in self._strips:
            fused[strip] = cv2.blendLinear(
                np.ascontiguousarray(fused[strip]),
                np.ascontiguousarray(visible[strip]),
                of_fused,
                of_visible,
            )
        return fused


def _whole_rectangle(weights: np.ndarray) -> tuple[int, int, int, int]:
    """A large rectangle (top, bottom, left, right) in which every weight is 1."""
    top, left = 0, 0
    bottom, right = weights.shape
    whole = weights >= 1.0
    while top < bottom and left < right:
        sides = {
            "top": whole[top, left:right].mean(),
            "bottom": whole[bottom - 1, left:right].mean(),
            "left": whole[top:bottom, left].mean(),
            "right": whole[top:bottom, right - 1].mean(),
        }
        worst = min(sides, key=sides.__getitem__)
        if sides[worst] == 1.0:
            break
        top += worst == "top"
        bottom -= worst == "bottom"
        left += worst == "left"
        right -= worst == "right"
    return top, bottom, left, right


def _strips_around(
    rectangle: tuple[int, int, int, int], shape: tuple[int, ...]
) -> list[tuple[slice, slice]]:
    top, bottom, left, right = rectangle
    height, width = shape
    if top >= bottom or left >= right:
        return [(slice(0, height), slice(0, width))]
    strips = [
        (slice(0, top), slice(0, width)),
        (slice(bottom, height), slice(0, width)),
        (slice(top, bottom), slice(0, left)),
        (slice(top, bottom), slice(right, width)),
    ]
    return [s for s in strips if s[0].stop > s[0].start and s[1].stop > s[1].start]
