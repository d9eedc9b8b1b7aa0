# SPDX-License-Identifier: Apache-2.0
"""FMI: mutual information between features of the sources and of the fused image.

Source: M. Haghighat, A. Aghagolzadeh, H. Seyedarabi, "A non-reference image fusion metric based on
mutual information of image features", 2011, and its authors' fast implementation: 3x3 windows; the
joint distribution of two windows is modelled between the Frechet bounds by their correlation.
Feature: gradient magnitude by central differences.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fusion_ros.metrics.checks import check_images

WINDOW = 3
_CELLS = WINDOW * WINDOW
_ROWS_AT_ONCE = 1 << 15


def _gradient_magnitude(x: Tensor) -> Tensor:
    p = F.pad(x, (1, 1, 1, 1), mode="replicate")
    dx = (p[:, :, 1:-1, 2:] - p[:, :, 1:-1, :-2]) / 2
    dy = (p[:, :, 2:, 1:-1] - p[:, :, :-2, 1:-1]) / 2
    return torch.sqrt(dx * dx + dy * dy)


def _windows(x: Tensor, stride: int) -> Tensor:
    """Return N, number of windows, 9; windows beyond the border are dropped."""
    return F.unfold(_gradient_magnitude(x), WINDOW, stride=stride).transpose(1, 2)


def _distribution(windows: Tensor) -> Tensor:
    """Normalise each window above its minimum to sum one; a uniform window becomes even."""
    above = windows - windows.amin(-1, keepdim=True)
    total = above.sum(-1, keepdim=True)
    even = torch.full_like(above, 1 / _CELLS)
    return torch.where(total > 1e-9, above / total.clamp_min(1e-9), even)


def _deviation(distribution: Tensor) -> Tensor:
    """Return the standard deviation of the cell's number, 1 to 9, for each row."""
    cell = torch.arange(1, _CELLS + 1, dtype=distribution.dtype, device=distribution.device)
    mean = (distribution * cell).sum(-1)
    return torch.sqrt(((distribution * cell * cell).sum(-1) - mean * mean).clamp_min(0))


def _entropy(distribution: Tensor) -> Tensor:
    return -torch.xlogy(distribution, distribution).sum(-1)


def _window_fmi(source: Tensor, fused: Tensor) -> Tensor:
    """Return normalised mutual information 2 I / (H + H) for each row of two (rows, 9) tensors."""
    p, q = _distribution(source), _distribution(fused)
    centred_p, centred_q = p - 1 / _CELLS, q - 1 / _CELLS
    scale = torch.sqrt(centred_p.square().sum(-1) * centred_q.square().sum(-1))
    correlation = (centred_p * centred_q).sum(-1) / scale.clamp_min(1e-12)
    correlation = torch.where(scale > 1e-12, correlation, torch.zeros_like(scale))

    f, g = p.cumsum(-1)[:, :, None], q.cumsum(-1)[:, None, :]
    apart = f * g
    upper, lower = torch.minimum(f, g), (f + g - 1).clamp_min(0)
    bound = torch.where((correlation >= 0)[:, None, None], upper, lower)
    # Hoeffding: covariance at a bound is the sum of (joint - product) of the distributions.
    at_bound = (bound - apart).sum((-1, -2)) / (_deviation(p) * _deviation(q)).clamp_min(1e-12)
    share = (correlation / torch.where(at_bound == 0, torch.ones_like(at_bound), at_bound)).clamp(
        0, 1
    )[:, None, None]
    joint = share * _density(bound) + (1 - share) * p[:, :, None] * q[:, None, :]
    joint_entropy = -torch.xlogy(joint.clamp_min(0), joint.clamp_min(0)).sum((-1, -2))
    alone = _entropy(p) + _entropy(q)
    value = 2 * (alone - joint_entropy) / alone.clamp_min(1e-12)
    same = (source == fused).all(-1)
    return torch.where(same, torch.ones_like(value), value)


def _density(distribution: Tensor) -> Tensor:
    """Return the second difference of a bivariate cumulative distribution."""
    padded = F.pad(distribution, (1, 0, 1, 0))
    return padded[:, 1:, 1:] - padded[:, :-1, 1:] - padded[:, 1:, :-1] + padded[:, :-1, :-1]


def fmi(visible: Tensor, thermal: Tensor, fused: Tensor, *, stride: int = 1) -> Tensor:
    """Return FMI: mean normalised mutual information over 3x3 windows and both sources.

    Images have one channel. In [0, 1]; higher is better, 1 when the fused image equals both
    sources.

    Args:
        visible, thermal, fused: see the package.
        stride: step between windows in pixels. 1 is the authors' form; 3 (adjacent windows) takes a
            ninth of the time and is used in ``MEASURES``.
    """
    check_images(WINDOW, visible=visible, thermal=thermal, fused=fused)
    if fused.shape[1] != 1:
        raise ValueError(f"fused has {fused.shape[1]} channels; FMI needs one")
    of_fused = _windows(fused, stride)
    values = []
    for source in (visible, thermal):
        of_source = _windows(source, stride)
        rows = zip(
            of_source.flatten(0, 1).split(_ROWS_AT_ONCE),
            of_fused.flatten(0, 1).split(_ROWS_AT_ONCE),
            strict=True,
        )
        flat = torch.cat([_window_fmi(s, f) for s, f in rows])
        values.append(flat.reshape(len(fused), -1).mean(1))
    return 0.5 * (values[0] + values[1])
