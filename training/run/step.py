# SPDX-License-Identifier: Apache-2.0
"""Computation of a training step: from crops to the loss and its terms."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from training.data.augmentation import augment
from training.data.sampling import Batch
from training.losses import Crops, luma, total_loss


class TrainingStep(nn.Module):
    """Network and loss in one module for a compiler or a distributed wrapper."""

    def __init__(self, net: nn.Module, weights: Mapping[str, float], window_stride: int) -> None:
        super().__init__()
        self.net = net
        self._weights = weights
        self._stride = window_stride

    def forward(
        self, visible: Tensor, thermal: Tensor, consecutive: bool = False
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return loss and unweighted terms of images in [0, 1]: N, C, H, W and N, 1, H, W.

        With ``consecutive`` the second half of the batch follows the first half in time.
        """
        fused = (self.net(visible * 2 - 1, thermal * 2 - 1).float() + 1) / 2
        colours = (visible, fused) if fused.shape[1] == 3 else None
        crops = Crops(luma(visible), thermal, luma(fused), colours, consecutive, self._stride)
        return total_loss(crops, self._weights)


def images_on_device(batch: Batch, device: torch.device) -> tuple[Tensor, Tensor]:
    """Move a batch to its device and augment it there; values are in [0, 1]."""
    visible = batch.visible.to(device, non_blocking=True).float() / 255
    thermal = batch.thermal.to(device, non_blocking=True).float() / 255
    return augment(visible, thermal, batch.draws)
