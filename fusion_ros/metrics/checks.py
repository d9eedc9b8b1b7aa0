# SPDX-License-Identifier: Apache-2.0
"""Checks of the inputs of all measures."""

from __future__ import annotations

import torch
from torch import Tensor


def check_images(smallest: int = 1, **images: Tensor) -> None:
    """Reject tensors that are not float NCHW of one shape.

    Args:
        smallest: least height and width of the measure, in pixels.
        images: the tensors by their parameter names.

    Raises:
        TypeError: a tensor is not floating point.
        ValueError: a tensor is not four-dimensional, is too small, or differs from the first.
    """
    first_name, first = next(iter(images.items()))
    for name, image in images.items():
        if not torch.is_floating_point(image):
            raise TypeError(f"{name} has dtype {image.dtype}; allowed: float tensors in [0, 1]")
        if image.ndim != 4:
            raise ValueError(f"{name} has shape {tuple(image.shape)}; allowed: N, C, H, W")
        if image.shape != first.shape:
            raise ValueError(
                f"{name} has shape {tuple(image.shape)}, {first_name} {tuple(first.shape)}; "
                "both must be equal"
            )
        if min(image.shape[-2:]) < smallest:
            raise ValueError(
                f"{name} is {image.shape[-1]}x{image.shape[-2]} pixels; "
                f"allowed for this measure: at least {smallest}x{smallest}"
            )


def check_luma(**images: Tensor) -> None:
    """Reject tensors that are not float H, W.

    Raises:
        TypeError: a tensor is not floating point.
        ValueError: a tensor is not two-dimensional.
    """
    for name, image in images.items():
        if not torch.is_floating_point(image):
            raise TypeError(f"{name} has dtype {image.dtype}; allowed: float tensors in [0, 1]")
        if image.ndim != 2:
            raise ValueError(f"{name} has shape {tuple(image.shape)}; allowed: H, W")
