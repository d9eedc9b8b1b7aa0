# SPDX-License-Identifier: Apache-2.0
"""Entropy and mutual information of grey levels from 256-bin histograms, in bits.

These measures have no gradient. Grey level = value * 255, rounded and clipped.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fusion_ros.metrics.checks import check_images

LEVELS = 256


def _levels(x: Tensor) -> Tensor:
    """Convert N, C, H, W in [0, 1] to N, C*H*W grey levels 0..255."""
    return (x.detach() * (LEVELS - 1)).round().clamp(0, LEVELS - 1).long().flatten(1)


def _entropy_of_counts(counts: Tensor) -> Tensor:
    p = counts / counts.sum(dim=-1, keepdim=True)
    return -torch.xlogy(p, p).sum(dim=-1) / torch.log(p.new_tensor(2.0))


def _counts(codes: Tensor, bins: int) -> Tensor:
    rows = torch.arange(len(codes), device=codes.device)[:, None] * bins
    flat = torch.bincount((codes + rows).flatten(), minlength=bins * len(codes))
    return flat.reshape(len(codes), bins).double()


def entropy(fused: Tensor) -> Tensor:
    """Return EN: Shannon entropy of the grey levels, in bits, 0 (uniform) to 8; more is better."""
    check_images(fused=fused)
    return _entropy_of_counts(_counts(_levels(fused), LEVELS)).to(fused.dtype)


def _mutual_information(x: Tensor, y: Tensor) -> Tensor:
    a, b = _levels(x), _levels(y)
    joint = _entropy_of_counts(_counts(a * LEVELS + b, LEVELS * LEVELS))
    apart = _entropy_of_counts(_counts(a, LEVELS)) + _entropy_of_counts(_counts(b, LEVELS))
    return (apart - joint).clamp_min(0)


def mutual_information(visible: Tensor, thermal: Tensor, fused: Tensor) -> Tensor:
    """Return MI: I(visible; fused) + I(thermal; fused), in bits, not normalised.

    Source: G. Qu, D. Zhang, P. Yan, "Information measure for performance of image fusion", 2002.
    """
    check_images(visible=visible, thermal=thermal, fused=fused)
    both = _mutual_information(visible, fused) + _mutual_information(thermal, fused)
    return both.to(fused.dtype)
