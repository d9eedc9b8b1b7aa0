# SPDX-License-Identifier: Apache-2.0
"""Training of the paper's network in a folded form with the published weights.

A 3x3 convolution followed by 2x2 average pooling equals one 4x4 convolution of stride 2. The 4x4
form is computed from the 3x3 weights in each step, which gives the gradients of the published
network with half the arithmetic and without approximation.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from fusion_ros.model.network import FusionNet


class FoldedLevel(nn.Module):
    """A 3x3 convolution and 2x2 average pooling as one 4x4 convolution of stride 2."""

    def __init__(self, level: nn.Sequential) -> None:
        super().__init__()
        # With the published names, so that the state dicts of both forms are equal.
        self.add_module("0", level[0])

    def forward(self, x: Tensor) -> Tensor:
        """Map N, C, H, W to N, C', H/2, W/2."""
        convolution = cast(nn.Conv2d, self.get_submodule("0"))
        kernel = convolution.weight
        # Mean of the kernel at four positions: separable, [1 1]/2 in both directions.
        kernel = F.pad(kernel, (1, 1, 1, 1))
        kernel = F.avg_pool2d(kernel, 2, stride=1)
        return F.conv2d(x, kernel, convolution.bias, stride=2, padding=1)


def fold_for_training(net: FusionNet) -> FusionNet:
    """Fold the levels of a network in place, with equal parameters and function.

    Levels with an activation between convolution and pooling are not changed.
    """
    if net.config.layout != "encoder_decoder":
        return net
    for encoder in (net.visible_encoder, net.thermal_encoder):
        for index, level in enumerate(cast("Iterable[nn.Sequential]", encoder.levels)):
            if len(level) == 2 and isinstance(level[1], nn.AvgPool2d):
                encoder.levels[index] = FoldedLevel(level)
    return net
