# SPDX-License-Identifier: Apache-2.0
"""Starting a wider network from a narrower trained one, without a change of its output."""

from __future__ import annotations

from torch import Tensor

from fusion_ros.model.network import FusionNet


class WideningError(ValueError):
    """Weights that cannot start this network; the message names the layer and both shapes."""


def start_from(net: FusionNet, trained: FusionNet) -> None:
    """Load trained weights into a network of the same layers and the same or larger widths.

    The trained channels come first and do not read the new ones, so the network begins as the
    trained one. The new channels keep their random weights; they learn as soon as the trained
    ones begin to read them.

    Raises:
        WideningError: other layers, a narrower layer, or grouped or joined features, whose
            channels have no order that widening could keep.
    """
    target, source = net.state_dict(), trained.state_dict()
    if target.keys() != source.keys():
        raise WideningError(
            f"initial_weights have layout {trained.config.layout!r}, {trained.config.widths}; "
            f"this network has {net.config.layout!r}, {net.config.widths}"
        )
    widened = {name: _widen(name, target[name], source[name]) for name in target}
    changed = any(target[name].shape != source[name].shape for name in target)
    if changed and net.config.layout != "blend":
        raise WideningError(
            f"initial_weights have widths {trained.config.widths}, this network {net.config.widths}"
            "; only layout 'blend' can be widened"
        )
    net.load_state_dict(widened)


def _widen(name: str, wide: Tensor, narrow: Tensor) -> Tensor:
    if any(w < n for w, n in zip(wide.shape, narrow.shape, strict=True)):
        raise WideningError(
            f"initial_weights have {name} of shape {tuple(narrow.shape)}, larger than this "
            f"network's {tuple(wide.shape)}"
        )
    result = wide.clone()
    if wide.dim() > 1:
        result[: narrow.shape[0], narrow.shape[1] :] = 0
    result[tuple(slice(side) for side in narrow.shape)] = narrow
    return result
