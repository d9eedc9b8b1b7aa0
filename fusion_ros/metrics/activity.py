# SPDX-License-Identifier: Apache-2.0
"""Activity of the fused image alone, in grey levels (0..255) as in publications.

These measures increase with noise and halos as well as with detail.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fusion_ros.metrics.checks import check_images


def standard_deviation(fused: Tensor) -> Tensor:
    """Return SD: deviation of the pixels from their mean (population form), N, C, H, W to N."""
    check_images(fused=fused)
    return 255 * fused.flatten(1).std(dim=1, correction=0)


def spatial_frequency(fused: Tensor) -> Tensor:
    """Return SF: root of the mean squared horizontal plus vertical difference, N, C, H, W to N.

    Source: A. Eskicioglu, P. Fisher, "Image quality measures and their performance", 1995. The
    means are over the existing differences (W - 1 in a row, H - 1 in a column).
    """
    check_images(2, fused=fused)
    rows = (fused[..., 1:] - fused[..., :-1]).square().mean(dim=(1, 2, 3))
    columns = (fused[..., 1:, :] - fused[..., :-1, :]).square().mean(dim=(1, 2, 3))
    return 255 * torch.sqrt(rows + columns)


def average_gradient(fused: Tensor) -> Tensor:
    """Return AG: mean of sqrt((dx^2 + dy^2) / 2) over forward differences, N, C, H, W to N.

    The mean is over the (H - 1) x (W - 1) pixels with both neighbours.
    """
    check_images(2, fused=fused)
    corner = fused[..., :-1, :-1]
    dx = fused[..., :-1, 1:] - corner
    dy = fused[..., 1:, :-1] - corner
    return 255 * torch.sqrt((dx * dx + dy * dy) / 2).mean(dim=(1, 2, 3))
