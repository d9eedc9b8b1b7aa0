# SPDX-License-Identifier: Apache-2.0
"""Preservation of broad brightness, of visible edges, and of colours.

A value is NaN if the image has too few pixels for it.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from fusion_ros.metrics.checks import check_images

#: Sigma in pixels of the Gaussian that leaves the broad brightness.
BROAD_SIGMA = 12.0
#: Least difference in broad brightness for a pixel to count.
APART = 40 / 255
LEAST_PIXELS = 500
#: Strong edge: a step of more than `STRONG_EDGE` over `EDGE_SPAN` pixels after this Gaussian.
EDGE_SIGMA, EDGE_SPAN, STRONG_EDGE = 1.5, 3, 30 / 255


def gaussian_blur(images: Tensor, sigma: float) -> Tensor:
    """Apply a Gaussian of `sigma` pixels, truncated at four sigma, with a mirrored border."""
    side = 2 * int(4 * sigma + 0.5) + 1
    planes = images.detach().cpu().flatten(0, 1)
    if planes.dtype == torch.half:  # OpenCV has no kernel of it
        planes = planes.float()
    border = cv2.BORDER_REFLECT_101
    blurred = [cv2.GaussianBlur(p, (side, side), sigma, borderType=border) for p in planes.numpy()]
    return torch.from_numpy(np.stack(blurred)).reshape(images.shape).to(images)


def _mean_where(values: Tensor, where: Tensor) -> Tensor:
    """Return the mean over selected pixels of each image; NaN for less than `LEAST_PIXELS`."""
    count = where.sum(dim=(1, 2, 3))
    total = torch.where(where, values, torch.zeros_like(values)).sum(dim=(1, 2, 3))
    return torch.where(count >= LEAST_PIXELS, total / count.clamp_min(1), torch.nan)


def brightness_shares(visible: Tensor, thermal: Tensor, fused: Tensor) -> tuple[Tensor, Tensor]:
    """Return the fused brightness relative to the sources, where thermal is hotter and darker.

    Both are means of (F - V) / (T - V) of luma blurred by `BROAD_SIGMA`: 0 is the brightness of the
    visible image, 1 that of the thermal one. "Hotter" covers pixels where thermal is brighter by
    more than `APART`; high values are good there. "Darker" covers pixels where it is darker by as
    much; low values are good there.

    Returns:
        (hotter, darker), N values each.
    """
    check_images(visible=visible, thermal=thermal, fused=fused)
    v, t, f = (gaussian_blur(x, BROAD_SIGMA) for x in (visible, thermal, fused))
    away = t - v
    share = (f - v) / torch.where(away.abs() > APART, away, torch.ones_like(away))
    return _mean_where(share, away > APART), _mean_where(share, away < -APART)


def flipped_edges(visible: Tensor, thermal: Tensor, fused: Tensor) -> Tensor:
    """Return the percentage of strong visible edges whose sign is inverted in the fused image.

    An edge is a difference over `EDGE_SPAN` rows or columns after a Gaussian of `EDGE_SIGMA`. It
    counts if it is above `STRONG_EDGE` in the visible image and less than half as large in the
    thermal one. A white lane marking that is dark in the fused image is an example. NaN for an
    image with fewer than `LEAST_PIXELS` such edges.
    """
    check_images(EDGE_SPAN + 1, visible=visible, thermal=thermal, fused=fused)
    soft = [gaussian_blur(x, EDGE_SIGMA) for x in (visible, thermal, fused)]
    strong_count = inverted_count = torch.zeros(len(fused), device=fused.device)
    for axis in (2, 3):
        v, t, f = (
            x.narrow(axis, EDGE_SPAN, x.shape[axis] - EDGE_SPAN)
            - x.narrow(axis, 0, x.shape[axis] - EDGE_SPAN)
            for x in soft
        )
        strong = (v.abs() > STRONG_EDGE) & (t.abs() < 0.5 * v.abs())
        strong_count = strong_count + strong.sum(dim=(1, 2, 3))
        inverted_count = inverted_count + (strong & (v * f < 0)).sum(dim=(1, 2, 3))
    return torch.where(
        strong_count >= LEAST_PIXELS, 100 * inverted_count / strong_count.clamp_min(1), torch.nan
    )


def colour_shift(visible: Tensor, thermal: Tensor, fused: Tensor) -> Tensor:
    """Return the mean distance to visible in CIELab's a and b where thermal is not hotter.

    `visible` and `fused` are sRGB, N, 3, H, W; `thermal` is N, 1, H, W.
    """
    check_images(visible=visible, fused=fused)
    luma = (visible * visible.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    check_images(luma=luma, thermal=thermal)
    cold = gaussian_blur(thermal, BROAD_SIGMA) <= gaussian_blur(luma, BROAD_SIGMA)
    away = (_lab_ab(fused) - _lab_ab(visible)).square().sum(1, keepdim=True).sqrt()
    return _mean_where(away, cold)


def _lab_ab(rgb: Tensor) -> Tensor:
    """Convert sRGB images N, 3, H, W to a and b of CIELab (D65), N, 2, H, W."""
    rgb_last = rgb.detach().cpu().movedim(1, -1).float()
    linear = torch.where(rgb_last <= 0.04045, rgb_last / 12.92, ((rgb_last + 0.055) / 1.055) ** 2.4)
    # For sRGB itself, OpenCV interpolates in a table, and is less exact.
    lab = np.stack([cv2.cvtColor(image, cv2.COLOR_LRGB2Lab) for image in linear.numpy()])
    return torch.from_numpy(lab[..., 1:]).movedim(-1, 1).to(rgb)
