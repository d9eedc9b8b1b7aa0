# SPDX-License-Identifier: Apache-2.0
"""Initialisation of a wider network from a narrower trained one with equal output."""

from __future__ import annotations

import torch
from torch import Tensor

from fusion_ros.model.network import FusionNet


class WideningError(ValueError):
    """Unsuitable initial weights; the message names the layer and both shapes."""


def start_from(net: FusionNet, trained: FusionNet) -> None:
    """Load trained weights into a network of the same layers and the same or more channels.

    The trained channels come first and have zero weights for the new ones, so the output is that of
    the trained network. The new channels keep their random weights, and train as soon as these
    zero weights change. In layout `encoder_decoder` only the encoders may be wider, since the
    decoder's groups would combine other channels.

    Raises:
        WideningError: the layers differ, or a layer cannot be widened to this network's.
    """
    target, source = net.state_dict(), trained.state_dict()
    if target.keys() != source.keys():
        raise WideningError(
            f"initial_weights have layout {trained.config.layout!r}, {trained.config.widths}; "
            f"this network has {net.config.layout!r}, {net.config.widths}"
        )
    net.load_state_dict({name: _widened(name, target[name], source[name]) for name in target})


def _widened(name: str, wide: Tensor, narrow: Tensor) -> Tensor:
    grown = wide.shape != narrow.shape
    if any(w < n for w, n in zip(wide.shape, narrow.shape, strict=True)) or (
        grown and name.startswith("decoder.")
    ):
        raise WideningError(
            f"initial_weights have {name} of shape {tuple(narrow.shape)}, this network "
            f"{tuple(wide.shape)}, which cannot be widened to"
        )
    if grown and name.startswith("fusion.") and narrow.dim() > 1:
        # The inputs are the concatenated channels of both cameras.
        pairs = zip(wide.chunk(2, dim=1), narrow.chunk(2, dim=1), strict=True)
        return torch.cat([_in_the_corner(w, n) for w, n in pairs], dim=1)
    return _in_the_corner(wide, narrow)


def _in_the_corner(wide: Tensor, narrow: Tensor) -> Tensor:
    result = wide.clone()
    if wide.dim() > 1:
        result[: narrow.shape[0], narrow.shape[1] :] = 0
    result[tuple(slice(side) for side in narrow.shape)] = narrow
    return result
