# SPDX-License-Identifier: Apache-2.0
"""Edges of the sources: preserved in the fused image (Qabf), or added by the fusion (Nabf).

Sources: C. Xydeas, V. Petrovic, "Objective image fusion performance measure", 2000; for Nabf with
its constants B. K. Shreyamsha Kumar, "Multifocus and multispectral image fusion based on pixel
significance using discrete cosine harmonic wavelet transform", 2013.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from fusion_ros.metrics.checks import check_images
from fusion_ros.metrics.quality_index import sobel


@dataclass(frozen=True)
class _Sigmoids:
    """Gain, slope and midpoint of the responses to strength and orientation."""

    strength: tuple[float, float, float]
    orientation: tuple[float, float, float]


XYDEAS = _Sigmoids(strength=(0.9994, 15.0, 0.5), orientation=(0.9879, 22.0, 0.8))
KUMAR = _Sigmoids(strength=(0.9999, 19.0, 0.5), orientation=(0.9995, 22.0, 0.5))


def _sobel_polar(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return Sobel strength in grey levels and angle in [-pi/2, pi/2]; border replicated."""
    gx, gy = sobel(255 * x)
    angle = torch.where(gx == 0, torch.full_like(gx, math.pi / 2), torch.atan(gy / gx))
    return torch.sqrt(gx * gx + gy * gy), angle


def _preserved(
    source: tuple[Tensor, Tensor], fused: tuple[Tensor, Tensor], sigmoids: _Sigmoids
) -> tuple[Tensor, Tensor]:
    """Return the preservation of strength and orientation of a source's edges for each pixel."""
    (g_s, angle_s), (g_f, angle_f) = source, fused
    larger = torch.maximum(g_s, g_f)
    ratio = torch.where(larger > 0, torch.minimum(g_s, g_f) / larger.clamp_min(1e-12), 0.0)
    agreement = ((angle_s - angle_f).abs() - math.pi / 2).abs() * 2 / math.pi
    gain, slope, middle = sigmoids.strength
    strength = gain * torch.sigmoid(slope * (ratio - middle))
    gain, slope, middle = sigmoids.orientation
    return strength, gain * torch.sigmoid(slope * (agreement - middle))


def _polars(visible: Tensor, thermal: Tensor, fused: Tensor) -> list[tuple[Tensor, Tensor]]:
    check_images(3, visible=visible, thermal=thermal, fused=fused)
    return [_sobel_polar(image) for image in (visible, thermal, fused)]


def qabf(visible: Tensor, thermal: Tensor, fused: Tensor) -> Tensor:
    """Return Qabf: preservation of strength and direction of the sources' edges, in [0, 1).

    Higher is better. 0 if neither source has an edge.
    """
    *sources, of_fused = _polars(visible, thermal, fused)
    total = weight = fused.new_zeros(())
    for source in sources:
        strength, orientation = _preserved(source, of_fused, XYDEAS)
        total = total + (strength * orientation * source[0]).sum(dim=(1, 2, 3))
        weight = weight + source[0].sum(dim=(1, 2, 3))
    return total / weight.clamp_min(1e-12)


def nabf(visible: Tensor, thermal: Tensor, fused: Tensor) -> Tensor:
    """Return Nabf: edges of the fused image without one in the sources (halos, ringing, noise).

    A pixel counts if its fused edge is stronger than those of both sources. Its weight is (source
    edge)^1.5, or 0.001 for edges below two grey levels. In [0, 1]; lower is better.
    """
    *sources, of_fused = _polars(visible, thermal, fused)
    added = (of_fused[0] > sources[0][0]) & (of_fused[0] > sources[1][0])
    total = weight = fused.new_zeros(())
    for source in sources:
        strength, orientation = _preserved(source, of_fused, KUMAR)
        kept = torch.sqrt(strength * orientation)
        significance = torch.where(source[0] >= 2, source[0] ** 1.5, 0.001)
        total = total + (added * (1 - kept) * significance).sum(dim=(1, 2, 3))
        weight = weight + significance.sum(dim=(1, 2, 3))
    return total / weight
