# SPDX-License-Identifier: Apache-2.0
"""Whether broad areas keep the brightness, and visible edges and colours what they were.

Values are one per picture; NaN where a picture has fewer pixels of the kind than a figure needs.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fusion_ros.metrics.checks import check_images

BROAD_SIGMA = 12.0
"""Pixels: what is left after this Gaussian is the broad brightness."""
APART = 40 / 255
"""How far the broad brightness of two pictures has to differ for a share of the way to count."""
LEAST_PIXELS = 500
EDGE_SIGMA, EDGE_SPAN, STRONG_EDGE = 1.5, 3, 30 / 255
"""A strong edge: after this Gaussian, a step of more than `STRONG_EDGE` over `EDGE_SPAN` pixels."""


def gaussian_blur(images: Tensor, sigma: float) -> Tensor:
    """Gaussian of ``sigma`` pixels, cut off at four sigma; the border is mirrored.

    Args:
        images: N, C, H, W; any size, also smaller than the kernel.
        sigma: in pixels.
    """
    reach = int(4 * sigma + 0.5)
    offsets = torch.arange(-reach, reach + 1, dtype=images.dtype, device=images.device)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = kernel / kernel.sum()
    for axis in (2, 3):
        size = images.shape[axis]
        index = torch.arange(-reach, size + reach, device=images.device)
        # Mirror without repeating the border pixel, as often as the kernel reaches beyond.
        period = max(2 * (size - 1), 1)
        index = index.remainder(period)
        index = torch.where(index < size, index, period - index)
        padded = images.index_select(axis, index).movedim(axis, -1)
        shape = padded.shape
        blurred = F.conv1d(padded.reshape(-1, 1, shape[-1]), kernel[None, None])
        images = blurred.reshape(*shape[:-1], size).movedim(-1, axis)
    return images


def _mean_where(values: Tensor, where: Tensor) -> Tensor:
    """Mean of N, 1, H, W over the chosen pixels of each picture; NaN below `LEAST_PIXELS`."""
    count = where.sum(dim=(1, 2, 3))
    total = torch.where(where, values, torch.zeros_like(values)).sum(dim=(1, 2, 3))
    return torch.where(count >= LEAST_PIXELS, total / count.clamp_min(1), torch.nan)


def brightness_shares(visible: Tensor, thermal: Tensor, fused: Tensor) -> tuple[Tensor, Tensor]:
    """Share of the way from visible to thermal brightness, where thermal is hotter and darker.

    Each is the mean of (F - V) / (T - V) over the pixels concerned, of luma blurred by
    `BROAD_SIGMA`: 0 is as bright as the visible picture, 1 as the thermal one. Where thermal is
    brighter by more than `APART` (hotter), high is good: bright in thermal only stays bright. Where
    it is darker by as much, low is good: bright in visible only stays bright.

    Args:
        visible, thermal, fused: N, 1, H, W in [0, 1].

    Returns:
        (hotter, darker), N values each.
    """
    check_images(visible=visible, thermal=thermal, fused=fused)
    v, t, f = (gaussian_blur(x, BROAD_SIGMA) for x in (visible, thermal, fused))
    away = t - v
    share = (f - v) / torch.where(away.abs() > APART, away, torch.ones_like(away))
    return _mean_where(share, away > APART), _mean_where(share, away < -APART)


def flipped_edges(visible: Tensor, thermal: Tensor, fused: Tensor) -> Tensor:
    """Percent of the strong visible edges, weak in thermal, whose sign the fused picture turns.

    An edge is a difference over `EDGE_SPAN` pixels, of rows or columns, after a Gaussian of
    `EDGE_SIGMA`. It counts where it is above `STRONG_EDGE` in the visible picture and under half of
    that in the thermal one: a white lane line that comes out dark.

    Args:
        visible, thermal, fused: N, 1, H, W in [0, 1].

    Returns:
        N values in 0..100; NaN where a picture has fewer than `LEAST_PIXELS` such edges.
    """
    check_images(EDGE_SPAN + 1, visible=visible, thermal=thermal, fused=fused)
    soft = [gaussian_blur(x, EDGE_SIGMA) for x in (visible, thermal, fused)]
    strong_count = turned_count = torch.zeros(len(fused), device=fused.device)
    for axis in (2, 3):
        v, t, f = (
            x.narrow(axis, EDGE_SPAN, x.shape[axis] - EDGE_SPAN)
            - x.narrow(axis, 0, x.shape[axis] - EDGE_SPAN)
            for x in soft
        )
        strong = (v.abs() > STRONG_EDGE) & (t.abs() < 0.5 * v.abs())
        strong_count = strong_count + strong.sum(dim=(1, 2, 3))
        turned_count = turned_count + (strong & (v * f < 0)).sum(dim=(1, 2, 3))
    return torch.where(
        strong_count >= LEAST_PIXELS, 100 * turned_count / strong_count.clamp_min(1), torch.nan
    )


def colour_shift(visible: Tensor, thermal: Tensor, fused: Tensor) -> Tensor:
    """Mean distance of fused to visible in CIELab's a and b, where thermal is not hotter.

    Args:
        visible, fused: N, 3, H, W, sRGB in [0, 1].
        thermal: N, 1, H, W in [0, 1].

    Returns:
        N values in Lab units.
    """
    check_images(visible=visible, fused=fused)
    luma = (visible * visible.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    check_images(luma=luma, thermal=thermal)
    cold = gaussian_blur(thermal, BROAD_SIGMA) <= gaussian_blur(luma, BROAD_SIGMA)
    away = (_lab_ab(fused) - _lab_ab(visible)).square().sum(1, keepdim=True).sqrt()
    return _mean_where(away, cold)


def _lab_ab(rgb: Tensor) -> Tensor:
    """A and b of CIELab (D65) of sRGB pictures N, 3, H, W, as N, 2, H, W."""
    linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    matrix = rgb.new_tensor(
        [
            [0.412453, 0.357580, 0.180423],
            [0.212671, 0.715160, 0.072169],
            [0.019334, 0.119193, 0.950227],
        ]
    )
    xyz = torch.einsum("ij,njhw->nihw", matrix, linear)
    xyz = xyz / rgb.new_tensor([0.950456, 1.0, 1.088754])[:, None, None]
    f = torch.where(xyz > 0.008856, xyz.clamp_min(1e-9) ** (1 / 3), 7.787 * xyz + 16 / 116)
    x, y, z = f.split(1, dim=1)
    return torch.cat([500 * (x - y), 200 * (y - z)], dim=1)
