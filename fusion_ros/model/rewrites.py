# SPDX-License-Identifier: Apache-2.0
"""Exact rewrites of a trained network into one with fewer operations.

No rewrite approximates: tests compare each in float64 with a tolerance of 1e-12.
"""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import Tensor, nn

from fusion_ros.model.blend import BlendNet, HeadsByRows, MergedHeads, UpByRows, bias_of
from fusion_ros.model.linear_rewrite import LinearFusionNet, is_linear_decoder
from fusion_ros.model.network import FusionNet

#: With this number of input channels or more, averaging the input is faster than the kernel.
_AVERAGE_INPUT_CHANNELS = 16


def optimise_for_inference(net: FusionNet) -> nn.Module:
    """Return a frozen copy of the network with every exact rewrite that applies.

    The copy computes the same function as `net`. It is for inference, not for training or saving.
    """
    result = copy.deepcopy(net).eval().requires_grad_(False)
    if net.config.layout != "encoder_decoder":
        return result
    for encoder in (result.visible_encoder, result.thermal_encoder):
        for index, level in enumerate(encoder.levels):
            encoder.levels[index] = fold_average_pooling(cast(nn.Sequential, level))
    return LinearFusionNet(result) if is_linear_decoder(result) else result


def fold_image_scale(net: FusionNet) -> FusionNet:
    """Return a copy of the network for images in units of 128 grey levels.

    The trained network takes a `uint8` level q as q / 127.5 - 1, the copy as (q - 127.5) / 128. The
    ratio 128 / 127.5 is folded into the first layers, and for a blend its inverse into the
    correction. In this unit float16 and bfloat16, too, represent all 256 levels exactly. The output
    of a network that ends in tanh keeps its range [-1, 1].
    """
    result = copy.deepcopy(net).eval().requires_grad_(False)
    ratio = 128.0 / 127.5
    if net.config.layout == "blend":
        result.blend.stem.weight.mul_(ratio)
        result.blend.correction_head.weight.div_(ratio)
        bias_of(result.blend.correction_head).div_(ratio)
        result.blend.limit = 1.0 / ratio
        return result
    if net.config.layout != "encoder_decoder":
        result.register_forward_pre_hook(lambda _, images: tuple(ratio * x for x in images))
        return result
    for encoder in (result.visible_encoder, result.thermal_encoder):
        cast(nn.Conv2d, cast(nn.Sequential, encoder.levels[0])[0]).weight.mul_(ratio)
    return result


def merge_heads(net: nn.Module) -> nn.Module:
    """Return a copy of a blend whose two heads are one convolution; other networks are returned."""
    if not isinstance(getattr(net, "blend", None), BlendNet):
        return net
    result = copy.deepcopy(net)
    blend = cast(BlendNet, result.blend)
    blend.merged_heads = MergedHeads(blend)
    return result


def by_rows(net: nn.Module) -> nn.Module:
    """Return a copy of a blend in the form that is faster with integers; others are returned.

    Heads and doubling at half resolution are computed row by row, by `HeadsByRows` and `UpByRows`.
    """
    if not isinstance(getattr(net, "blend", None), BlendNet):
        return net
    result = copy.deepcopy(net)
    blend = cast(BlendNet, result.blend)
    blend.merged_heads = HeadsByRows(blend)
    if len(blend.up):
        blend.last_up = UpByRows(cast(nn.Conv2d, blend.up[0]))
    return result


def fold_average_pooling(level: nn.Sequential) -> nn.Sequential:
    """Turn [3x3 convolution, 2x2 average pooling] into a convolution of stride 2.

    The mean of four neighbouring outputs equals the output for the mean of four shifted inputs.
    With many input channels the shifted inputs are averaged first and convolved with the 3x3 kernel
    at stride 2, a quarter of the arithmetic. With few input channels that averaging would dominate,
    so the kernel is averaged once instead, which gives a 4x4 convolution of stride 2. Other levels
    of an encoder (with an activation, or without pooling) are returned unchanged.
    """
    convolution = level[0]
    if len(level) != 2 or not isinstance(level[1], nn.AvgPool2d):
        return level
    assert isinstance(convolution, nn.Conv2d)
    averages_input = convolution.in_channels >= _AVERAGE_INPUT_CHANNELS
    folded = nn.Conv2d(
        convolution.in_channels,
        convolution.out_channels,
        kernel_size=3 if averages_input else 4,
        stride=2,
        padding=0 if averages_input else 1,
        groups=convolution.groups,
        bias=convolution.bias is not None,
        device=convolution.weight.device,
        dtype=convolution.weight.dtype,
    )
    kernel = convolution.weight.detach()
    kernel = kernel.clone() if averages_input else _average_over_shifts(kernel)
    folded.weight = nn.Parameter(kernel, requires_grad=False)
    if convolution.bias is not None:
        folded.bias = nn.Parameter(convolution.bias.detach().clone(), requires_grad=False)
    if averages_input:
        # The means include the convolution's border of zeros.
        return nn.Sequential(nn.AvgPool2d(2, stride=1, padding=1), folded)
    return nn.Sequential(folded)


def _average_over_shifts(kernel: Tensor) -> Tensor:
    """Average a 3x3 kernel over its four positions in a 4x4 window, (O, I, 4, 4)."""
    result = kernel.new_zeros(*kernel.shape[:2], 4, 4)
    with torch.no_grad():
        for row in (0, 1):
            for column in (0, 1):
                result[:, :, row : row + 3, column : column + 3] += kernel / 4
    return result
