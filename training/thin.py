# SPDX-License-Identifier: Apache-2.0
"""Training `paper` with thin encoders first: its grouped decoder is cheap, its encoders are not.

Four fifths of a step's arithmetic lie in the encoders, whose cost goes with the square of their
channels. The thin network is the published one with most encoder channels left out, so it can
be put back into it exactly (`training/widening.py`) and trained on from there.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from fusion_ros.model.network import Encoder, FusionNet


def thin_encoders(net: FusionNet, divisor: int, *, keep: bool = False) -> FusionNet:
    """Replace encoders and fusion, in place, by ones that have 1/``divisor`` of the channels.

    The fusion still gives all the channels that the decoder wants. Names stay as they are.

    Args:
        net: a network of layout `encoder_decoder`, unless ``divisor`` is 1.
        divisor: divides each of the network's widths.
        keep: take over the weights of the first channels, for a network that was trained thin
            (no other reads only them); otherwise the encoders start anew.
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
        # Its inputs are the two cameras' channels one after the other.
        return torch.cat([half[:, : thin.shape[1] // 2] for half in whole.chunk(2, dim=1)], dim=1)
    return whole[tuple(slice(side) for side in thin.shape)]
