# SPDX-License-Identifier: Apache-2.0
"""A network with its pixel conversions: `uint8` images in, `uint8` images out.

All engines run or export this module, so scaling, padding, cropping and rounding are the same in
each of them. A compiler can fuse them into the first and the last layer.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fusion_ros.model.network import FusionNet
from fusion_ros.model.padding import crop, pad_to_multiple
from fusion_ros.model.rewrites import fold_image_scale, optimise_for_inference


class ByteNetwork(nn.Module):
    """A trained network in its exact form for inference, between two pixel conversions.

    Args:
        net: the network as trained, float32 or float64; it is copied, not modified.
        dtype: type of the layers' arithmetic. Scaling and rounding are in float32, or in float64
            for a float64 network.
    """

    def __init__(self, net: FusionNet, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.config = net.config
        self._dtype = dtype
        # The rewrites average and scale kernels; they precede the rounding to `dtype`.
        self.net = optimise_for_inference(fold_image_scale(net)).to(dtype)

    def forward(self, visible: Tensor, thermal: Tensor) -> Tensor:
        """Fuse a batch of images of any size.

        Args:
            visible: `uint8` (N, H, W, visible_channels), RGB order or luma.
            thermal: `uint8` (N, H, W, 1).

        Returns:
            `uint8` (N, H, W, output_channels). Half a grey level rounds up.
        """
        # The conversion truncates; adding 0.5 makes it round.
        return (self.levels(visible, thermal) + 0.5).clamp(0.0, 255.0).to(torch.uint8)

    def levels(self, visible: Tensor, thermal: Tensor) -> Tensor:
        """Return the unrounded grey levels (N, H, W, output_channels) in 0..255."""
        height, width = thermal.shape[1:3]
        fused = self.net(self.planes(visible), self.planes(thermal))
        fused = _channels_last(crop(fused, height, width))
        if self._dtype != torch.float64:
            fused = fused.float()
        return fused * (128.0 if self.config.layout == "blend" else 127.5) + 127.5

    def planes(self, images: Tensor) -> Tensor:
        """Convert `uint8` (N, H, W, C) to padded (N, C, H', W') in units of 128 grey levels."""
        wide = torch.float64 if self._dtype == torch.float64 else torch.float32
        planes = (_channels_first(images).to(wide) - 127.5) * (1.0 / 128.0)
        return pad_to_multiple(planes.to(self._dtype), self.config.stride, self.config.padding)


def _channels_first(x: Tensor) -> Tensor:
    # A transposition of one channel makes OpenVINO choose a layout that some layers run slowly.
    return x.squeeze(3).unsqueeze(1) if x.shape[3] == 1 else x.permute(0, 3, 1, 2)


def _channels_last(x: Tensor) -> Tensor:
    return x.squeeze(1).unsqueeze(3) if x.shape[1] == 1 else x.permute(0, 2, 3, 1)
