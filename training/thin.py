# SPDX-License-Identifier: Apache-2.0
"""Training of `paper` with thin encoders in a first stage.

Four fifths of a step's arithmetic are in the encoders and grow with the square of their channels.
The thin network lacks most encoder channels of the published one. It can be transferred exactly to
the published network (`training/widening.py`), and training can continue there.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from fusion_ros.model.network import Encoder, FusionNet


def thin_encoders(net: FusionNet, divisor: int, *, keep: bool = False) -> FusionNet:
    """Replace encoders and fusion in place by ones with 1/``divisor`` of the channels.

    The outputs of the fusion and the names of the layers do not change.

    Args:
        net: a network of layout `encoder_decoder`, unless ``divisor`` is 1.
        divisor: divisor of each of the network's widths.
        keep: keep the weights of the first channels, for a network that was trained thin; other
            networks read all channels. False initialises the encoders.
    """
    if divisor == 1:
        return net
    whole = net.state_dict()
    widths = tuple(width // divisor for width in net.config.widths)
    thin = dataclasses.replace(net.config, widths=widths, decoder_groups=1)
    net.visible_encoder = Encoder(thin, net.config.visible_channels)
    net.thermal_encoder = Encoder(thin, 1)
    net.fusion = nn.ModuleList(
        nn.Conv2d(2 * narrow, width, kernel_size=1)
        for narrow, width in zip(widths, net.config.widths, strict=True)
    )
    if keep:
        net.load_state_dict(
            {name: _first_channels(name, whole[name], x) for name, x in net.state_dict().items()}
        )
    return net


def _first_channels(name: str, whole: Tensor, thin: Tensor) -> Tensor:
    if name.startswith("fusion.") and thin.dim() > 1:
        # The inputs are the concatenated channels of both cameras.
        return torch.cat([half[:, : thin.shape[1] // 2] for half in whole.chunk(2, dim=1)], dim=1)
    return whole[tuple(slice(side) for side in thin.shape)]
