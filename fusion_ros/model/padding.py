# SPDX-License-Identifier: Apache-2.0
"""Padding of images to a multiple of the network's stride, and cropping."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def pad_to_multiple(x: Tensor, multiple: int, mode: str) -> Tensor:
    """Pad a batch at the right and the bottom until height and width are multiples.

    Pixel (0, 0) stays in place, so cropping is a view.

    Args:
        x: (N, C, H, W) in [-1, 1].
        multiple: the network's stride, for instance 32.
        mode: "zeros" (mid-grey in network space; the paper) or "replicate" (repeat the border).

    Returns:
        (N, C, H', W') with the next multiples; `x` itself if no padding is needed.
    """
    height, width = x.shape[-2:]
    bottom, right = -height % multiple, -width % multiple
    if not bottom and not right:
        return x
    return F.pad(x, (0, right, 0, bottom), mode="constant" if mode == "zeros" else "replicate")


def crop(x: Tensor, height: int, width: int) -> Tensor:
    """Return the top left (N, C, height, width) of a padded batch, as a view."""
    return x[..., :height, :width]
