# SPDX-License-Identifier: Apache-2.0
"""Piella's fusion quality index Qw and its edge form Qe, as in table 1 of the paper.

Source: G. Piella and H. Heijmans, "A new quality metric for image fusion", ICIP 2003, built on
Z. Wang and A. Bovik, "A universal image quality index", 2002. The paper is that of
`fusion_ros.model.network`. Its convention, which reproduces Qw of the published results in its
table: adjacent 8x8 blocks, incomplete blocks dropped, unbiased variances, saliency = variance,
block weight = larger saliency relative to its sum. Its column Qe is not reproduced.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fusion_ros.metrics.checks import check_images

#: Side of a window in pixels.
WINDOW = 8
#: Exponent of the edge index, as in the paper's public code.
EDGE_POWER = 0.7
#: Added under the root of the Sobel magnitude, as in kornia, which the paper's public code uses. It
#: keeps the gradient finite on uniform areas.
SOBEL_EPS = 1e-6


def _window_mean(x: Tensor, stride: int) -> Tensor:
    """Return the mean of each whole window of N, C, H, W; `stride` is the step between windows."""
    if stride >= WINDOW:
        return F.avg_pool2d(x, WINDOW, stride)
    # Two passes take time proportional to 2w instead of w*w.
    rows = F.avg_pool2d(x, (WINDOW, 1), (stride, 1))
    return F.avg_pool2d(rows, (1, WINDOW), (1, stride))


def qw(
    visible: Tensor,
    thermal: Tensor,
    fused: Tensor,
    *,
    stride: int = WINDOW,
    eps: float = 1e-8,
) -> Tensor:
    """Return Piella's weighted fusion quality index.

    In [-1, 1]; higher is better. The result is the mean over the channels; the convention is one
    grey channel.

    Args:
        visible, thermal, fused: see the package; at least 8x8 pixels.
        stride: step between windows in pixels; the default (adjacent blocks) is the convention. 1
            is the sliding form; any step is differentiable.
        eps: keeps uniform windows finite.
    """
    check_images(WINDOW, visible=visible, thermal=thermal, fused=fused)
    squares = [visible * visible, thermal * thermal, fused * fused]
    stack = torch.cat([visible, thermal, fused, *squares, visible * fused, thermal * fused], dim=1)
    # One box filter computes all statistics.
    means = _window_mean(stack, stride).chunk(8, dim=1)
    m_a, m_b, m_f = means[:3]
    unbiased = WINDOW * WINDOW / (WINDOW * WINDOW - 1.0)
    var_a, var_b, var_f = (
        ((square - mean * mean) * unbiased).clamp_min(0)
        for square, mean in zip(means[3:6], means[:3], strict=True)
    )
    cov_af = (means[6] - m_a * m_f) * unbiased
    cov_bf = (means[7] - m_b * m_f) * unbiased

    def q0(mean: Tensor, var: Tensor, cov: Tensor) -> Tensor:
        # correlation x contrast = 2 cov / (var + var_f): the deviations cancel, which removes the
        # square root and its infinite gradient on uniform windows.
        structure = 2 * cov / (var + var_f + eps)
        luminance = (2 * mean * m_f + eps) / (mean * mean + m_f * m_f + eps)
        return structure * luminance

    of_visible = (var_a + eps) / (var_a + var_b + 2 * eps)
    local = of_visible * q0(m_a, var_a, cov_af) + (1 - of_visible) * q0(m_b, var_b, cov_bf)
    saliency = torch.maximum(var_a, var_b) + eps
    weight = saliency / saliency.sum(dim=(2, 3), keepdim=True)
    return (local * weight).sum(dim=(2, 3)).mean(dim=1)


def sobel(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the Sobel derivatives of N, C, H, W across and down, border replicated."""
    p = F.pad(x, (1, 1, 1, 1), mode="replicate")
    vertical = p[:, :, :-2] + 2 * p[:, :, 1:-1] + p[:, :, 2:]
    horizontal = p[:, :, :, :-2] + 2 * p[:, :, :, 1:-1] + p[:, :, :, 2:]
    gx = vertical[:, :, :, 2:] - vertical[:, :, :, :-2]
    return gx, horizontal[:, :, 2:] - horizontal[:, :, :-2]


def sobel_magnitude(x: Tensor) -> Tensor:
    """Return the Sobel magnitude of N, C, H, W, kernel / 8, border replicated."""
    gx, gy = (g / 8 for g in sobel(x))
    return torch.sqrt(gx * gx + gy * gy + SOBEL_EPS)


def edge_image(x: Tensor) -> Tensor:
    """Return the Sobel magnitude scaled to [0, 1] by each image's minimum and maximum."""
    edges = sobel_magnitude(x)
    low = edges.amin(dim=(2, 3), keepdim=True)
    high = edges.amax(dim=(2, 3), keepdim=True)
    return (edges - low) / (high - low).clamp_min(1e-8)


def qe(visible: Tensor, thermal: Tensor, fused: Tensor, *, stride: int = WINDOW) -> Tensor:
    """Return the edge form of :func:`qw`: its value for edge images to the power 0.7.

    A negative index keeps its sign (-|q|^0.7).
    """
    check_images(WINDOW, visible=visible, thermal=thermal, fused=fused)
    index = qw(edge_image(visible), edge_image(thermal), edge_image(fused), stride=stride)
    # The offset keeps the gradient finite at zero.
    return index.sign() * (index.abs() + 1e-12) ** EDGE_POWER
