# SPDX-License-Identifier: Apache-2.0
"""Loss terms of training: the paper's equation 3, and penalties for what the Q indices ignore.

The Q indices reward contrast where a source has some and ignore areas without any. A network that
is trained by them alone produces halos along strong edges. ``excess_gradient`` and ``overshoot``
penalise contrast that neither source has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from fusion_ros.metrics.quality_index import edge_image, qw

LUMA = (0.299, 0.587, 0.114)
CALMER = 0.1
"""Aim of `restlessness`, below the average's flicker index (natural logarithm)."""
STEADY = 1.25
"""Change of static pixels that `static` allows, in units of the average's change."""
LEAST_SHARE, MOST_SHARE = 0.8, 0.03
"""Share of the way from visible to thermal brightness: the least for hotter areas, the most for
darker ones."""

Images: TypeAlias = tuple[Tensor, Tensor, Tensor]
"""Visible, thermal and fused image, N, 1, H, W each, in [0, 1]."""
LossTerm: TypeAlias = "Callable[[Crops], Tensor | None]"


@dataclass(frozen=True)
class Crops:
    """Images of one training step in [0, 1].

    Attributes:
        visible: luma, N, 1, H, W.
        thermal: N, 1, H, W.
        fused: luma, N, 1, H, W.
        colours: visible and fused image, N, 3, H, W each, if the network fuses RGB.
        consecutive: whether the second half of the batch follows the first half in time.
        stride: step between the 8x8 windows of the Q terms, in pixels.
    """

    visible: Tensor
    thermal: Tensor
    fused: Tensor
    colours: tuple[Tensor, Tensor] | None = None
    consecutive: bool = False
    stride: int = 4

    @property
    def images(self) -> Images:
        """Visible, thermal and fused luma."""
        return self.visible, self.thermal, self.fused


def luma(x: Tensor) -> Tensor:
    """BT.601 luma of N, 3, H, W; one channel passes through."""
    if x.shape[1] == 1:
        return x
    r, g, b = x.unbind(1)
    return (LUMA[0] * r + LUMA[1] * g + LUMA[2] * b)[:, None]


def forward_differences(x: Tensor) -> tuple[Tensor, Tensor]:
    """Differences to the right and to the lower neighbour, both N, C, H-1, W-1."""
    corner = x[:, :, :-1, :-1]
    return x[:, :, :-1, 1:] - corner, x[:, :, 1:, :-1] - corner


def _stronger(visible: Tensor, thermal: Tensor) -> Tensor:
    return torch.where(visible.abs() > thermal.abs(), visible, thermal)


def gradient_loss(visible: Tensor, thermal: Tensor, fused: Tensor) -> Tensor:
    """Mean absolute distance of the fused differences from the stronger source's."""
    total = fused.new_zeros(())
    for v, t, f in zip(*(forward_differences(x) for x in (visible, thermal, fused)), strict=True):
        total = total + (f - _stronger(v, t)).abs().mean()
    return total


def excess_gradient_loss(
    visible: Tensor,
    thermal: Tensor,
    fused: Tensor,
    *,
    gains: tuple[float, ...] = (1.5, 1.25, 1.0, 1.0),
    first_octave: int = 0,
) -> Tensor:
    """Return the excess of the fused differences over ``gain`` times both sources', by octave.

    A halo is a slope where both sources are flat, or steeper than both. Wide halos show at the
    coarse octaves, which therefore allow no gain; fine detail may be raised a little. A slope of
    the opposite sign is excess, too. Octave n compares means over 2^n pixels; those that are wider
    than half the image are left out.
    """
    images = torch.cat([visible, thermal, fused], dim=1)
    if first_octave:
        images = F.avg_pool2d(images, 2**first_octave)
    total = fused.new_zeros(())
    for octave, gain in enumerate(gains):
        if octave:
            images = F.avg_pool2d(images, 2)
        if min(images.shape[-2:]) < 2:
            break
        for v, t, f in zip(*(forward_differences(x) for x in images.chunk(3, dim=1)), strict=True):
            high = gain * torch.maximum(v, t).clamp_min(0)
            low = gain * torch.minimum(v, t).clamp_max(0)
            total = total + (F.relu(f - high) + F.relu(low - f)).mean()
    return total


def glow_loss(visible: Tensor, thermal: Tensor, fused: Tensor) -> Tensor:
    """Return `excess_gradient_loss` at 16 and 32 pixels, as of a plain sky brighter along roofs."""
    return excess_gradient_loss(visible, thermal, fused, gains=(1.0, 1.0), first_octave=4)


def overshoot_loss(visible: Tensor, thermal: Tensor, fused: Tensor, *, reach: int = 2) -> Tensor:
    """Mean distance of the fused value from the sources' range within ``reach`` pixels."""
    side = 2 * reach + 1
    with torch.no_grad():
        both = torch.cat([torch.maximum(visible, thermal), -torch.minimum(visible, thermal)], 1)
        rows = F.max_pool2d(both, (side, 1), 1, (reach, 0))
        high, low = F.max_pool2d(rows, (1, side), 1, (0, reach)).chunk(2, dim=1)
    return (F.relu(fused - high) + F.relu(-low - fused)).mean()


def correlation_loss(visible: Tensor, thermal: Tensor, fused: Tensor) -> Tensor:
    """Return 1 - SCD / 2, in [0, 2], with a finite gradient on uniform images."""

    def correlation(x: Tensor, y: Tensor) -> Tensor:
        x, y = (z.flatten(1) - z.flatten(1).mean(1, keepdim=True) for z in (x, y))
        return (x * y).mean(1) / torch.sqrt(x.square().mean(1) * y.square().mean(1) + 1e-8)

    both = correlation(fused - thermal, visible) + correlation(fused - visible, thermal)
    return 1 - 0.5 * both.mean()


def _gaussian(x: Tensor, sigma: float) -> Tensor:
    """Blur N, C, H, W with a Gaussian, the border repeated."""
    reach = int(3 * sigma + 0.5)
    offsets = torch.arange(-reach, reach + 1, device=x.device, dtype=x.dtype)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = (kernel / kernel.sum())[None, None, None].repeat(x.shape[1], 1, 1, 1)
    for axis, weight in ((3, kernel), (2, kernel.transpose(2, 3))):
        # Not F.pad: torch 2.13 compiles the gradient of its replication wrongly.
        border = [-1] * 4
        border[axis] = reach
        first, last = x.narrow(axis, 0, 1), x.narrow(axis, x.shape[axis] - 1, 1)
        x = torch.cat([first.expand(border), x, last.expand(border)], dim=axis)
        x = F.conv2d(x, weight, groups=x.shape[1])
    return x


def brightness_loss(
    visible: Tensor, thermal: Tensor, fused: Tensor, *, tolerance: float = 0.01
) -> Tensor:
    """Return the mean distance of the broad brightness from its band.

    Where thermal is brighter, the band reaches from `LEAST_SHARE` of the way up to thermal to all
    of it; where it is darker, from the visible brightness to `MOST_SHARE` of the way down. The mean
    over 4x4 pixels, then a Gaussian of 3 of those, stands for a Gaussian of 12 pixels.
    """
    broad = _gaussian(F.avg_pool2d(torch.cat([visible, thermal, fused], 1), 4), 3.0)
    v, t, f = broad.chunk(3, dim=1)
    hotter, darker = F.relu(t - v), F.relu(v - t)
    low = v + LEAST_SHARE * hotter - MOST_SHARE * darker
    return (F.relu(low - f - tolerance) + F.relu(f - v - hotter - tolerance)).mean()


def flipped_edge_loss(
    visible: Tensor,
    thermal: Tensor,
    fused: Tensor,
    *,
    span: int = 3,
    least: float = 22 / 255,
    kept: float = 0.3,
) -> Tensor:
    """Return the mean shortfall of strong visible edges in the fused image, relative to their step.

    An edge is a difference over ``span`` rows or columns after a Gaussian of 1.5 pixels. It counts
    if it is above ``least`` in the visible image and less than half as large in the thermal one. It
    falls short if the fused image has less than the share ``kept`` of it, with its sign. The mean
    is over edges, since few pixels of a batch are on one; rows and columns are added.
    """
    soft = _gaussian(torch.cat([visible, thermal, fused], 1), 1.5)
    total = fused.new_zeros(())
    for axis in (2, 3):
        length = soft.shape[axis] - span
        step = soft.narrow(axis, span, length) - soft.narrow(axis, 0, length)
        v, t, f = step.chunk(3, dim=1)
        strong = ((v.abs() > least) & (t.abs() < 0.5 * v.abs())).to(f.dtype)
        short = F.relu(kept - torch.sign(v) * f / v.abs().clamp_min(least))
        total = total + (strong * short).sum() / (strong.sum() + 100)
    return total


def colour_loss(visible: Tensor, fused: Tensor) -> Tensor:
    """Mean distance of the two images' colour differences; both N, 3, H, W in [0, 1]."""
    return (fused - luma(fused) - (visible - luma(visible))).abs().mean()


def flicker_loss(before: Images, after: Images) -> Tensor:
    """Mean change of the fused image beyond the mean of its sources' changes."""
    change_a, change_b, change_f = ((y - x).abs() for x, y in zip(before, after, strict=True))
    return F.relu(change_f - 0.5 * (change_a + change_b)).mean()


def restlessness_loss(before: Images, after: Images) -> Tensor:
    """Return the excess of the flicker index over that of the sources' average, as a logarithm.

    With the logarithm a calm crop counts as much as a lively one, whose index varies far more. The
    aim is `CALMER` below the average. There is no branch on values, since a compiled step supports
    none.
    """

    def restlessness(x: Tensor, y: Tensor) -> Tensor:
        slopes = [(z.diff(dim=axis).abs().mean(dim=(1, 2, 3))) for z in (x, y) for axis in (2, 3)]
        # In pixels of apparent motion; a hundredth more keeps still frames finite.
        return (y - x).abs().mean(dim=(1, 2, 3)) / (sum(slopes) / 4 + 1e-6) + 0.01

    fused = restlessness(before[2], after[2])
    average = restlessness(0.5 * (before[0] + before[1]), 0.5 * (after[0] + after[1]))
    return F.relu(torch.log(fused / average) + CALMER).mean()


def static_loss(before: Images, after: Images) -> Tensor:
    """Return the change of static pixels beyond `STEADY` times the average's, as a logarithm.

    A pixel is static if neither source changes by more than three grey levels around it, as a mean
    over 9x9 pixels.
    """
    a, b, f = (y - x for x, y in zip(before, after, strict=True))
    with torch.no_grad():
        moved = F.avg_pool2d(torch.cat([a, b], 1).abs(), 9, 1, 4, count_include_pad=False)
        still = (moved.amax(dim=1, keepdim=True) < 3 / 255).to(f.dtype)
        average = (still * (0.5 * (a + b)).abs()).sum(dim=(1, 2, 3))
        count = still.sum(dim=(1, 2, 3))
        enough = (count > 0.05 * still[0].numel()).to(f.dtype)
    least = 0.1 / 255 * count + 1e-6
    ratio = ((still * f.abs()).sum(dim=(1, 2, 3)) + least) / (average + least)
    return (enough * F.relu(torch.log(ratio / STEADY))).mean()


def edge_index(visible: Tensor, thermal: Tensor, fused: Tensor, *, stride: int) -> Tensor:
    """Qe before its final power: smooth where the power's slope is not."""
    sources = torch.cat([visible, thermal], 1).detach()
    edges_v, edges_t = edge_image(sources).chunk(2, 1)
    return qw(edges_v, edges_t, edge_image(fused), stride=stride, eps=1e-6)


def on_images(term: Callable[[Tensor, Tensor, Tensor], Tensor]) -> LossTerm:
    """Make a loss term of a function of visible, thermal and fused luma."""
    return lambda crops: term(*crops.images)


def on_frames(term: Callable[[Images, Images], Tensor]) -> LossTerm:
    """Make a loss term of a function of two consecutive frames; other batches have none."""

    def value(crops: Crops) -> Tensor | None:
        if not crops.consecutive:
            return None
        (v0, v1), (t0, t1), (f0, f1) = (x.chunk(2) for x in crops.images)
        return term((v0, t0, f0), (v1, t1, f1))

    return value


#: Loss terms by the name of their weight in a config.
TERMS: dict[str, LossTerm] = {
    # alpha, beta and gamma of the paper's equation 3
    "qw": lambda c: 1 - qw(*c.images, stride=c.stride, eps=1e-6).mean(),
    "qe": lambda c: 1 - edge_index(*c.images, stride=c.stride).mean(),
    "mse": lambda c: 0.5 * (F.mse_loss(c.fused, c.visible) + F.mse_loss(c.fused, c.thermal)),
    "gradient": on_images(gradient_loss),
    "excess_gradient": on_images(excess_gradient_loss),
    "glow": on_images(glow_loss),
    "overshoot": on_images(overshoot_loss),
    "scd": on_images(correlation_loss),
    "brightness": on_images(brightness_loss),
    "flipped": on_images(flipped_edge_loss),
    "colour": lambda c: colour_loss(*c.colours) if c.colours else None,
    "flicker": on_frames(flicker_loss),
    "restlessness": on_frames(restlessness_loss),
    "static": on_frames(static_loss),
}


def loss_term(term: LossTerm) -> LossTerm:
    """Register a function of `Crops` as a loss term under its own name (a decorator).

    The function returns a scalar, or None if it does not apply to the batch.
    """
    TERMS[term.__name__] = term
    return term


def total_loss(crops: Crops, weights: Mapping[str, float]) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the weighted sum of the terms, and each term unweighted; weight 0 skips a term."""
    total, terms = crops.fused.new_zeros(()), {}
    for name, weight in weights.items():
        value = TERMS[name](crops) if weight else None
        if value is not None:
            total = total + weight * value
            terms[name] = value.detach()
    return total, terms
