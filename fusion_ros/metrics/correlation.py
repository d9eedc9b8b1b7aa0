# SPDX-License-Identifier: Apache-2.0
"""Correlation of the fused image with its sources; it is 0 for uniform images."""

from __future__ import annotations

import torch
from torch import Tensor

from fusion_ros.metrics.checks import check_images


def _pearson(x: Tensor, y: Tensor) -> Tensor:
    x, y = x.flatten(1), y.flatten(1)
    x, y = x - x.mean(1, keepdim=True), y - y.mean(1, keepdim=True)
    scale = torch.sqrt(x.square().sum(1) * y.square().sum(1))
    # On a uniform float32 image, rounding of the mean leaves deviations of about 1e-7.
    return torch.where(scale > 1e-9 * x.shape[1], (x * y).sum(1) / scale.clamp_min(1e-30), 0.0)


def correlation_coefficient(visible: Tensor, thermal: Tensor, fused: Tensor) -> Tensor:
    """Return CC, the mean of Pearson's r(visible, fused) and r(thermal, fused), in [-1, 1]."""
    check_images(visible=visible, thermal=thermal, fused=fused)
    return 0.5 * (_pearson(visible, fused) + _pearson(thermal, fused))


def sum_of_correlations_of_differences(visible: Tensor, thermal: Tensor, fused: Tensor) -> Tensor:
    """Return SCD: r(fused - thermal, visible) + r(fused - visible, thermal), in [-2, 2].

    Source: V. Aslantas, E. Bendes, "A new image quality metric for image fusion: the sum of the
    correlations of differences", 2015.
    """
    check_images(visible=visible, thermal=thermal, fused=fused)
    return _pearson(fused - thermal, visible) + _pearson(fused - visible, thermal)
