# SPDX-License-Identifier: Apache-2.0
"""How much goes on in the fused image alone. All are in grey levels (0..255), as papers print them.

They reward noise and halos as much as detail: read them beside the reference measures.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fusion_ros.metrics.checks import check_images


def standard_deviation(fused: Tensor) -> Tensor:
    """SD: deviation of the pixels from their mean (population form), N, C, H, W to N."""
    check_images(fused=fused)
    return 255 * fused.flatten(1).std(dim=1, correction=0)


def spatial_frequency(fused: Tensor) -> Tensor:
    """SF: root of the mean squared horizontal plus vertical difference, N, C, H, W to N.

    Source: A. Eskicioglu, P. Fisher, "Image quality measures and their performance", 1995. Each
    mean is over the differences that exist (W - 1 a row, H - 1 a column).
    """
    check_images(2, fused=fused)
    rows = (fused[..., 1:] - fused[..., :-1]).square().mean(dim=(1, 2, 3))
    columns = (fused[..., 1:, :] - fused[..., :-1, :]).square().mean(dim=(1, 2, 3))
    return 255 * torch.sqrt(rows + columns)


def average_gradient(fused: Tensor) -> Tensor:
    """AG: mean of sqrt((dx^2 + dy^2) / 2) over forward differences, N, C, H, W to N.

    Over the (H - 1) x (W - 1) pixels that have both neighbours.
    """
    check_images(2, fused=fused)
    corner = fused[..., :-1, :-1]
    dx = fused[..., :-1, 1:] - corner
    dy = fused[..., 1:, :-1] - corner
    return 255 * torch.sqrt((dx * dx + dy * dy) / 2).mean(dim=(1, 2, 3))
