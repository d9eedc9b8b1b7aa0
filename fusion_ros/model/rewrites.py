# SPDX-License-Identifier: Apache-2.0
"""Exact rewrites of a trained network into a cheaper one that computes the same.

A rewrite never approximates: the tests hold each to 1e-12 in float64.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from fusion_ros.model.linear_rewrite import LinearFusionNet, is_linear_decoder
from fusion_ros.model.network import FusionNet

#: From so many input channels on, averaging the input beats averaging the kernel.
_AVERAGE_INPUT_CHANNELS = 16


def optimise_for_inference(net: FusionNet) -> nn.Module:
    """A copy of the network in evaluation mode, frozen, with every exact rewrite that applies.

    The copy computes what `net` computes; it is for running, not for training or saving.
    """
    result = copy.deepcopy(net).eval().requires_grad_(False)
    if net.config.layout == "blend":
        return result  # nothing to fold: strided convolutions as they are
    for encoder in (result.visible_encoder, result.thermal_encoder):
        for index, level in enumerate(encoder.levels):
            encoder.levels[index] = fold_average_pooling(level)
    return LinearFusionNet(result) if is_linear_decoder(result) else result


def fold_picture_scale(net: FusionNet) -> FusionNet:
    """A copy of the network that takes and gives pictures in units of 128 grey levels.

    A `uint8` level q is q / 127.5 - 1 to the network as trained. The copy takes (q - 127.5) / 128
    in its place: the ratio 128 / 127.5 is folded into the first layers, and for a blend the inverse
    into the correction. Unlike the trained scale, this one holds all 256 levels exactly in float16
    and bfloat16 too. A network that ends in tanh still answers in its own range, [-1, 1].
    """
    result = copy.deepcopy(net).eval().requires_grad_(False)
    ratio = 128.0 / 127.5
    if net.config.layout == "blend":
        result.blend.stem.weight.mul_(ratio)
        result.blend.correction_head.weight.div_(ratio)
        result.blend.correction_head.bias.div_(ratio)
        result.blend.limit = 1.0 / ratio
        return result
    for encoder in (result.visible_encoder, result.thermal_encoder):
        encoder.levels[0][0].weight.mul_(ratio)
    return result


def fold_average_pooling(level: nn.Sequential) -> nn.Sequential:
    """Turn [3x3 convolution, 2x2 average pooling] into a convolution at a quarter of the places.

    The mean of four neighbouring answers is the answer to the mean of four shifted inputs. With
    many input channels the shifted inputs are averaged first, then convolved with the 3x3 kernel
    at stride 2: a quarter of the arithmetic. With few, where the averaging would cost as much as
    the rest, the kernel is averaged instead, once: one 4x4 convolution of stride 2. Levels of any
    other shape (an activation stands between, or no pooling) are returned as they are.
    """
    if len(level) != 2:
        return level
    convolution, pooling = level
    if not _is_same_size_3x3(convolution) or not _is_2x2_average(pooling):
        return level
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
        # The border of zeros that the convolution padded with takes part in the means.
        return nn.Sequential(nn.AvgPool2d(2, stride=1, padding=1), folded)
    return nn.Sequential(folded)


def _average_over_shifts(kernel: Tensor) -> Tensor:
    """(O, I, 3, 3) to (O, I, 4, 4): the mean of the kernel at its four places in a 4x4 window."""
    result = kernel.new_zeros(*kernel.shape[:2], 4, 4)
    with torch.no_grad():
        for row in (0, 1):
            for column in (0, 1):
                result[:, :, row : row + 3, column : column + 3] += kernel / 4
    return result


def _is_same_size_3x3(layer: nn.Module) -> bool:
    return (
        isinstance(layer, nn.Conv2d)
        and layer.kernel_size == (3, 3)
        and layer.stride == (1, 1)
        and layer.padding == (1, 1)
        and layer.dilation == (1, 1)
        and layer.padding_mode == "zeros"
    )


def _is_2x2_average(layer: nn.Module) -> bool:
    return (
        isinstance(layer, nn.AvgPool2d)
        and layer.kernel_size in (2, (2, 2))
        and layer.stride in (2, (2, 2))
        and layer.padding in (0, (0, 0))
    )
