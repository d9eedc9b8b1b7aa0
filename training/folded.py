# SPDX-License-Identifier: Apache-2.0
"""Training the paper's network in its folded form, and unfolding the result to the published one.

A 3x3 convolution followed by 2x2 average pooling is one 4x4 convolution of stride 2. Training
through the 3x3 weights but running the 4x4 form gives the published network's own gradients at
half its arithmetic: nothing is approximated, and the weights stay those of the published layers.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from fusion_ros.model.network import FusionNet


class FoldedLevel(nn.Module):
    """[3x3 convolution, 2x2 average pooling] run as one 4x4 stride-2 convolution."""

    def __init__(self, level: nn.Sequential) -> None:
        super().__init__()
        # Kept under the published names, so state dicts of both forms are the same.
        self.add_module("0", level[0])

    def forward(self, x: Tensor) -> Tensor:
        """N, C, H, W to N, C', H/2, W/2."""
        convolution = self.get_submodule("0")
        kernel = convolution.weight
        # The mean of the kernel at its four places: separable, [1 1]/2 in both directions.
        kernel = F.pad(kernel, (1, 1, 1, 1))
        kernel = F.avg_pool2d(kernel, 2, stride=1)
        return F.conv2d(x, kernel, convolution.bias, stride=2, padding=1)


def fold_for_training(net: FusionNet) -> FusionNet:
    """Change a network in place; parameters and their names stay, the function stays, cost halves.

    Levels with an activation between convolution and pooling are left as they are.
    """
    if net.config.layout != "encoder_decoder":
        return net
    for encoder in (net.visible_encoder, net.thermal_encoder):
        for index, level in enumerate(encoder.levels):
            if len(level) == 2 and isinstance(level[1], nn.AvgPool2d):
                encoder.levels[index] = FoldedLevel(level)
    return net
