# SPDX-License-Identifier: Apache-2.0
"""Computation of a training step: from crops to the loss and its terms."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.augmentation import augment
from training.losses import (
    LossWeights,
    colour_loss,
    flicker_loss,
    fusion_loss,
    luma,
    objects_loss,
    restlessness_loss,
    static_loss,
)
from training.sampling import Batch


class TrainingStep(nn.Module):
    """Network and loss in one module for a compiler or a distributed wrapper."""

    def __init__(self, net: nn.Module, weights: LossWeights, window_stride: int) -> None:
        super().__init__()
        self.net = net
        self._weights = weights
        self._stride = window_stride

    def forward(
        self,
        visible: Tensor,
        thermal: Tensor,
        consecutive: bool = False,
        preferences: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return loss and unweighted terms of images in [0, 1]: N, C, H, W and N, 1, H, W.

        With ``consecutive`` the second half of the batch follows the first half in time;
        ``preferences`` are those of the batch's objects (see `training.objects`).
        """
        fused = (self.net(visible * 2 - 1, thermal * 2 - 1).float() + 1) / 2
        a, f = luma(visible), luma(fused)
        loss, terms = fusion_loss(a, thermal, f, self._weights, stride=self._stride)
        if self._weights.colour and fused.shape[1] == 3:
            colour = colour_loss(visible, fused)
            loss = loss + self._weights.colour * colour
            terms["colour"] = colour.detach()
        if preferences is not None and self._weights.objects:
            objects = objects_loss(a, thermal, f, preferences)
            loss = loss + self._weights.objects * objects
            terms["objects"] = objects.detach()
        if consecutive:
            half = len(f) // 2
            before, after = (
                tuple(x[:half] for x in (a, thermal, f)),
                tuple(x[half:] for x in (a, thermal, f)),
            )
            for name, term in (
                ("flicker", flicker_loss),
                ("restlessness", restlessness_loss),
                ("static", static_loss),
            ):
                if weight := getattr(self._weights, name):
                    value = term(before, after)
                    loss = loss + weight * value
                    terms[name] = value.detach()
        return loss, terms


def pictures(batch: Batch, device: torch.device) -> tuple[Tensor, Tensor]:
    """Move a batch to its device and augment it there; values are in [0, 1]."""
    visible = batch.visible.to(device, non_blocking=True).float() / 255
    thermal = batch.thermal.to(device, non_blocking=True).float() / 255
    return augment(visible, thermal, batch.draws)
