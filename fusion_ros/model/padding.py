# SPDX-License-Identifier: Apache-2.0
"""Any picture size: pad up to the network's multiple, crop back to the pixel."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def pad_to_multiple(x: Tensor, multiple: int, mode: str) -> Tensor:
    """Fill a batch up at the right and the bottom until height and width are multiples.

    Padding on two sides only keeps pixel (0, 0) where it was, so cropping is a view.

    Args:
        x: (N, C, H, W) in [-1, 1].
        multiple: the network's stride, for instance 32.
        mode: "zeros" (mid-grey in network space; the paper) or "replicate" (the border repeated).

    Returns:
        (N, C, H', W'), H' and W' the next multiples; `x` itself where nothing is missing.
    """
    height, width = x.shape[-2:]
    bottom, right = -height % multiple, -width % multiple
    if not bottom and not right:
        return x
    if mode == "zeros":
        return F.pad(x, (0, right, 0, bottom))
    if mode == "replicate":
        return F.pad(x, (0, right, 0, bottom), mode="replicate")
    raise ValueError(f"mode is {mode!r}; allowed: 'zeros', 'replicate'")


def crop(x: Tensor, height: int, width: int) -> Tensor:
    """The top left (N, C, height, width) of a padded batch, as a view."""
    return x[..., :height, :width]
