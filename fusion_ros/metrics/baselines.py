# SPDX-License-Identifier: Apache-2.0
"""Classical fusion methods for comparison: simple rules, guided filter, Laplacian pyramid.

Inputs and outputs are float arrays in [0, 1], H x W grey.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import cv2
import numpy as np

Array = np.ndarray


def laplacian_pyramid(visible: Array, thermal: Array) -> Array:
    """Fuse by Laplacian pyramids of at most five levels (Burt and Adelson, 1983).

    Each level takes the detail of the source with the larger magnitude. The base is the mean.
    """
    base_v: Array = visible.astype(np.float32)
    base_t: Array = thermal.astype(np.float32)
    details: list[Array] = []
    for _ in range(min(5, int(np.log2(min(visible.shape))) - 1)):
        smaller = [cv2.pyrDown(x) for x in (base_v, base_t)]
        size = base_v.shape[::-1]
        lap_v, lap_t = (
            x - cv2.pyrUp(s, dstsize=size) for x, s in zip((base_v, base_t), smaller, strict=True)
        )
        details.append(np.where(np.abs(lap_v) >= np.abs(lap_t), lap_v, lap_t))
        base_v, base_t = smaller
    fused: Array = 0.5 * (base_v + base_t)
    for detail in reversed(details):
        fused = cv2.pyrUp(fused, dstsize=detail.shape[::-1]) + detail
    return fused.clip(0, 1)


def _guided(guide: Array, x: Array, radius: int, eps: float) -> Array:
    """Apply the guided filter of He, Sun and Tang, 2013, with a grey guide."""

    def box(image: Array) -> Array:
        side = 2 * radius + 1
        return cv2.blur(image, (side, side), borderType=cv2.BORDER_REFLECT)

    mean_g, mean_x = box(guide), box(x)
    slope = (box(guide * x) - mean_g * mean_x) / (box(guide * guide) - mean_g**2 + eps)
    return box(slope) * guide + box(mean_x - slope * mean_g)


def guided_filter(visible: Array, thermal: Array) -> Array:
    """Fuse by guided filtering (Li, Kang and Hu, 2013) with the published settings."""
    sources = [x.astype(np.float32) for x in (visible, thermal)]
    bases = [cv2.blur(x, (31, 31), borderType=cv2.BORDER_REFLECT) for x in sources]
    saliency = [
        cv2.GaussianBlur(np.abs(cv2.Laplacian(x, cv2.CV_32F)), (11, 11), 5) for x in sources
    ]
    chosen = (saliency[0] >= saliency[1]).astype(np.float32)
    masks = [chosen, 1 - chosen]
    fused = np.zeros_like(sources[0])
    for of_base, radius, eps in ((True, 45, 0.3), (False, 7, 1e-6)):
        weights = [
            _guided(g, m, radius, eps).clip(0, 1) for g, m in zip(sources, masks, strict=True)
        ]
        total = weights[0] + weights[1] + 1e-12
        for weight, source, base in zip(weights, sources, bases, strict=True):
            fused += weight / total * (base if of_base else source - base)
    return fused.clip(0, 1)


BASELINES: Mapping[str, Callable[[Array, Array], Array]] = MappingProxyType(
    {
        "average": lambda visible, thermal: 0.5 * (visible + thermal),
        "maximum": np.maximum,
        "visible": lambda visible, thermal: visible,
        "thermal": lambda visible, thermal: thermal,
        "guided filter": guided_filter,
        "Laplacian pyramid": laplacian_pyramid,
    }
)
