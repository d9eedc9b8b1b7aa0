# SPDX-License-Identifier: Apache-2.0
"""Validation during a run: qw, qe and images of 8-bit outputs on the validation pairs."""

from __future__ import annotations

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from fusion_ros.metrics.quality_index import qe, qw
from fusion_ros.model.network import FusionNet
from fusion_ros.model.padding import crop, pad_to_multiple
from training.config import RunConfig
from training.data.packing import Pack
from training.losses import luma
from training.run.progress import log_images


@torch.inference_mode()
def fuse(net: FusionNet, visible: Tensor, thermal: Tensor) -> Tensor:
    """Fuse images in [0, 1] of any size as in inference; the result is rounded to 8 bit.

    Args:
        net: a network with ``config``, in evaluation mode.
        visible: N, C, H, W in [0, 1]; converted to the channels of the network.
        thermal: N, 1, H, W in [0, 1].
    """
    config = net.config
    height, width = visible.shape[-2:]
    if config.visible_channels == 1:
        visible = luma(visible)
    elif visible.shape[1] == 1:
        visible = visible.expand(-1, 3, -1, -1)
    a, b = (pad_to_multiple(2 * x - 1, config.stride, config.padding) for x in (visible, thermal))
    fused = crop((net(a, b) + 1) / 2, height, width)
    return (fused * 255).round().clamp(0, 255) / 255


class Validator:
    """Score a network on a pack, and log scores and images."""

    def __init__(self, pack: Pack | None, config: RunConfig, fabric: Fabric) -> None:
        self._pack, self._config, self._fabric = pack, config, fabric
        self.last_scores: dict[str, float] = {}

    def validate(self, net: FusionNet, step: int) -> dict[str, float]:
        """Return the mean qw and qe over the validation pairs, on the first process only."""
        if self._pack is None or not self._fabric.is_global_zero:
            return {}
        rows: list[tuple[float, float]] = []
        shown: list[Tensor] = []
        for index in range(len(self._pack)):
            visible, thermal = (
                torch.from_numpy(np.array(x)).to(self._fabric.device).float() / 255
                for x in self._pack.frame(index)
            )
            visible, thermal = visible.permute(2, 0, 1)[None], thermal[None, None]
            fused = luma(fuse(net, visible, thermal)).double()
            sources = luma(visible).double(), thermal.double()
            rows.append((qw(*sources, fused).item(), qe(*sources, fused).item()))
            if len(shown) < self._config.image_count:
                shown.append(torch.cat([*sources, fused], dim=3)[0].float().cpu())
        means = np.mean(rows, axis=0)
        self.last_scores = {"validation_qw": float(means[0]), "validation_qe": float(means[1])}
        self._fabric.log_dict(
            {name.replace("_", "/"): value for name, value in self.last_scores.items()}, step
        )
        log_images(self._fabric.loggers, "visible thermal fused", shown, step)
        return dict(self.last_scores)
