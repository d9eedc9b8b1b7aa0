# SPDX-License-Identifier: Apache-2.0
"""Steadiness of a fused sequence."""

from __future__ import annotations

import torch
from torch import Tensor

from fusion_ros.metrics.checks import check_images


def flicker_index(visible: Tensor, thermal: Tensor, fused: Tensor) -> Tensor:
    """Frame-to-frame change of the fused sequence over the mean change of its two sources.

        index = mean |f(t+1) - f(t)| / (0.5 mean |a(t+1) - a(t)| + 0.5 mean |b(t+1) - b(t)|)

    1 means: as restless as its sources are on average; a blend with constant weights stays at or
    under 1, a fusion whose weights jump lies above.

    Args:
        visible, thermal, fused: T, C, H, W in [0, 1], consecutive frames, T at least 2.

    Returns:
        One value >= 0; lower is better. Sources that do not change at all give 0 for a fused
        sequence that does not either, infinity otherwise.
    """
    check_images(visible=visible, thermal=thermal, fused=fused)
    if len(fused) < 2:
        raise ValueError(f"the sequence has {len(fused)} frames; flicker needs at least 2")
    change = [(x[1:] - x[:-1]).abs().mean() for x in (visible, thermal, fused)]
    of_sources = 0.5 * (change[0] + change[1])
    if of_sources == 0:
        return torch.zeros_like(of_sources) if change[2] == 0 else of_sources + torch.inf
    return change[2] / of_sources


def excess_flicker(visible: Tensor, thermal: Tensor, fused: Tensor) -> Tensor:
    """Share of the fused change that goes beyond the larger of the sources' changes, by pixel.

    Args:
        visible, thermal, fused: T, C, H, W in [0, 1], consecutive frames, T at least 2.

    Returns:
        Mean of max(0, |df| - max(|da|, |db|)) in grey levels (0..255) a frame; any blend of the
        two sources with constant weights in [0, 1] gives 0 but for rounding.
    """
    check_images(visible=visible, thermal=thermal, fused=fused)
    if len(fused) < 2:
        raise ValueError(f"the sequence has {len(fused)} frames; flicker needs at least 2")
    a, b, f = ((x[1:] - x[:-1]).abs() for x in (visible, thermal, fused))
    return 255 * (f - torch.maximum(a, b)).clamp_min(0).mean()
