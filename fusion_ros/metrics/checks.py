# SPDX-License-Identifier: Apache-2.0
"""What every measure asks of its inputs, with errors that quote the offending value."""

from __future__ import annotations

import torch
from torch import Tensor


def check_images(smallest: int = 1, **images: Tensor) -> None:
    """Refuse tensors that are not NCHW float of one and the same shape.

    Args:
        smallest: least height and width, in pixels, that the measure can work on.
        images: the tensors under the names that the caller knows them by.

    Raises:
        TypeError: a tensor is not floating point.
        ValueError: a tensor is not four-dimensional, too small, or shaped unlike the first.
    """
    first_name, first = next(iter(images.items()))
    for name, image in images.items():
        if not torch.is_floating_point(image):
            raise TypeError(f"{name} has dtype {image.dtype}; allowed are float tensors in [0, 1]")
        if image.ndim != 4:
            raise ValueError(f"{name} has shape {tuple(image.shape)}; allowed is N, C, H, W")
        if image.shape != first.shape:
            raise ValueError(
                f"{name} has shape {tuple(image.shape)}, {first_name} {tuple(first.shape)}; "
                "they must be equal"
            )
        if min(image.shape[-2:]) < smallest:
            raise ValueError(
                f"{name} is {image.shape[-1]}x{image.shape[-2]} pixels; "
                f"this measure needs at least {smallest}x{smallest}"
            )
