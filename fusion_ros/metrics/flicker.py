# SPDX-License-Identifier: Apache-2.0
"""Temporal stability of a fused sequence: four measures of change between frames.

``flicker_index`` compares methods. A moving image changes by its slope times the speed (brightness
constancy), so without any flicker a fusion of high contrast changes more than one of low contrast.
The index compensates for this, ``change_ratio`` does not. ``excess_flicker`` counts changes that
neither source has, ``static_change`` the noise of areas at rest. Images are T, C, H, W: at least
two consecutive frames. Each measure has one value for the sequence.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fusion_ros.metrics.checks import check_images

#: Largest change of each source around a static pixel: the mean over a square of `STATIC_WINDOW`.
STATIC_CHANGE = 3 / 255
#: Side of that square in pixels.
STATIC_WINDOW = 9


def _check_sequence(visible: Tensor, thermal: Tensor, fused: Tensor) -> None:
    check_images(2, visible=visible, thermal=thermal, fused=fused)
    if len(fused) < 2:
        raise ValueError(f"the sequence has {len(fused)} frames; flicker needs at least 2")


def _change(x: Tensor) -> Tensor:
    return (x[1:] - x[:-1]).abs().mean()


def _slope(x: Tensor) -> Tensor:
    """Return the mean absolute difference between neighbours in both directions."""
    rows = (x[..., 1:] - x[..., :-1]).abs().mean()
    columns = (x[..., 1:, :] - x[..., :-1, :]).abs().mean()
    return 0.5 * (rows + columns)


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    if whole == 0:
        return torch.zeros_like(whole) if part == 0 else torch.full_like(whole, torch.inf)
    return part / whole


def flicker_index(visible: Tensor, thermal: Tensor, fused: Tensor) -> Tensor:
    """Return the apparent motion of the fused sequence relative to the mean of its sources.

        motion(x) = mean |x(t+1) - x(t)| / mean |slope of x|       (in pixels)

    At least 0; lower is better, and 1 equals the mean of the sources. 0 without any change;
    infinity if only the fused sequence changes.
    """
    _check_sequence(visible, thermal, fused)
    a, b, f = (_ratio(_change(x), _slope(x)) for x in (visible, thermal, fused))
    return _ratio(f, 0.5 * (a + b))


def change_ratio(visible: Tensor, thermal: Tensor, fused: Tensor) -> Tensor:
    """Return the mean change of the fused sequence relative to that of its sources.

    The average of two moving sources is below 1, because it halves their contrast. A fusion that
    keeps the contrast is above 1.
    """
    _check_sequence(visible, thermal, fused)
    return _ratio(_change(fused), 0.5 * (_change(visible) + _change(thermal)))


def excess_flicker(visible: Tensor, thermal: Tensor, fused: Tensor) -> Tensor:
    """Return the change of each pixel beyond the larger change of the two sources.

    It is the mean of max(0, |df| - max(|da|, |db|)) over pixels and steps between frames, in grey
    levels (0..255). A blend with constant weights in [0, 1] has 0, except for rounding.
    """
    _check_sequence(visible, thermal, fused)
    a, b, f = ((x[1:] - x[:-1]).abs() for x in (visible, thermal, fused))
    return 255 * (f - torch.maximum(a, b)).clamp_min(0).mean()


def static_change(visible: Tensor, thermal: Tensor, fused: Tensor) -> Tensor:
    """Return the change of static pixels relative to their change in the average of both sources.

    A pixel is static between two frames if neither source changes around it by more than
    `STATIC_CHANGE`, as a mean over a square of `STATIC_WINDOW` pixels. 1 equals the average, which
    halves the noise of each camera. NaN for a sequence without static pixels. Images have one
    channel.
    """
    _check_sequence(visible, thermal, fused)
    if fused.shape[1] != 1:
        raise ValueError(f"the images have {fused.shape[1]} channels; allowed for static_change: 1")
    a, b, f = (x[1:] - x[:-1] for x in (visible, thermal, fused))
    around = F.avg_pool2d(
        torch.cat([a, b], 1).abs(), STATIC_WINDOW, 1, STATIC_WINDOW // 2, count_include_pad=False
    )
    static = around.amax(dim=1, keepdim=True) < STATIC_CHANGE
    if not static.any():
        return f.new_tensor(torch.nan)
    return _ratio(f.abs()[static].mean(), (0.5 * (a + b)).abs()[static].mean())
