# SPDX-License-Identifier: Apache-2.0
"""Steadiness of a fused sequence: three views on change between frames.

``flicker_index`` is the one to compare methods by. A picture in motion changes by its own slope
times the speed (brightness constancy), so a fusion of full contrast changes more than a pale one
without any flicker; the index takes that out. ``change_ratio`` does not, ``excess_flicker`` counts
only what no source explains.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fusion_ros.metrics.checks import check_images


def _check_sequence(visible: Tensor, thermal: Tensor, fused: Tensor) -> None:
    check_images(2, visible=visible, thermal=thermal, fused=fused)
    if len(fused) < 2:
        raise ValueError(f"the sequence has {len(fused)} frames; flicker needs at least 2")


def _change(x: Tensor) -> Tensor:
    return (x[1:] - x[:-1]).abs().mean()


def _slope(x: Tensor) -> Tensor:
    """Mean absolute difference to the neighbours, of both directions."""
    rows = (x[..., 1:] - x[..., :-1]).abs().mean()
    columns = (x[..., 1:, :] - x[..., :-1, :]).abs().mean()
    return 0.5 * (rows + columns)


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    if whole == 0:
        return torch.zeros_like(whole) if part == 0 else torch.full_like(whole, torch.inf)
    return part / whole


def flicker_index(visible: Tensor, thermal: Tensor, fused: Tensor) -> Tensor:
    """Restlessness of the fused sequence over the mean restlessness of its sources.

        restlessness(x) = mean |x(t+1) - x(t)| / mean |slope of x|       (pixels of apparent motion)

    Args:
        visible, thermal, fused: T, C, H, W in [0, 1], consecutive frames, T at least 2.

    Returns:
        One value >= 0; lower is better, 1 is as restless as the sources are on average. 0 where
        nothing changes; infinity where the fused sequence changes and no source does.
    """
    _check_sequence(visible, thermal, fused)
    a, b, f = (_ratio(_change(x), _slope(x)) for x in (visible, thermal, fused))
    return _ratio(f, 0.5 * (a + b))


def change_ratio(visible: Tensor, thermal: Tensor, fused: Tensor) -> Tensor:
    """Mean change of the fused sequence over the mean change of its two sources, contrast and all.

    Arguments as for :func:`flicker_index`. A plain average of two moving sources stays under 1
    because it halves their contrast; a fusion that keeps it lies above.
    """
    _check_sequence(visible, thermal, fused)
    return _ratio(_change(fused), 0.5 * (_change(visible) + _change(thermal)))


def excess_flicker(visible: Tensor, thermal: Tensor, fused: Tensor) -> Tensor:
    """Fused change beyond the larger of both sources' changes, pixel by pixel.

    Arguments as for :func:`flicker_index`.

    Returns:
        Mean of max(0, |df| - max(|da|, |db|)) in grey levels (0..255) a frame; any blend of the
        two sources with constant weights in [0, 1] gives 0 but for rounding.
    """
    _check_sequence(visible, thermal, fused)
    a, b, f = ((x[1:] - x[:-1]).abs() for x in (visible, thermal, fused))
    return 255 * (f - torch.maximum(a, b)).clamp_min(0).mean()
