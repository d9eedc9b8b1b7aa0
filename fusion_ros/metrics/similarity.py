# SPDX-License-Identifier: Apache-2.0
"""Similarity to both sources by general measures of image quality.

All but PSNR import torchmetrics (extra `train`) when they run. Their inputs are converted to
float32, since its convolutions take ten times as long in float64.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fusion_ros.metrics.checks import check_images

SSIM_WINDOW = 11
MS_SSIM_SMALLEST = 16 * (SSIM_WINDOW - 1) + 1
VIF_SMALLEST = 41


def psnr(visible: Tensor, thermal: Tensor, fused: Tensor) -> Tensor:
    """Return PSNR in dB of the mean of both squared errors; N values, higher is better.

    It is infinite if the fused image equals both sources.
    """
    check_images(visible=visible, thermal=thermal, fused=fused)
    error = 0.5 * (
        (fused - visible).square().mean(dim=(1, 2, 3))
        + (fused - thermal).square().mean(dim=(1, 2, 3))
    )
    return -10 * torch.log10(error)


def ssim(visible: Tensor, thermal: Tensor, fused: Tensor) -> Tensor:
    """Return the mean of SSIM(fused, visible) and SSIM(fused, thermal), in [-1, 1].

    Source: Z. Wang et al., "Image quality assessment: from error visibility to structural
    similarity", 2004: 11x11 Gaussian window, sigma 1.5, range 1, windows inside the image only.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    check_images(SSIM_WINDOW, visible=visible, thermal=thermal, fused=fused)

    def interior(x: Tensor, y: Tensor) -> Tensor:
        # The mean of torchmetrics includes the border, where half the window is mirrored; the
        # published measure excludes it.
        edge = SSIM_WINDOW // 2
        _, full = structural_similarity_index_measure(
            x, y, data_range=1.0, reduction="none", return_full_image=True
        )
        return full[..., edge:-edge, edge:-edge].mean(dim=(1, 2, 3))

    return _mean_of_both(interior, visible, thermal, fused)


def ms_ssim(visible: Tensor, thermal: Tensor, fused: Tensor) -> Tensor:
    """Return the mean five-scale SSIM against both sources; at least 161x161 pixels.

    Source: Z. Wang, E. Simoncelli, A. Bovik, "Multiscale structural similarity", 2003. Negative
    contrast terms count as zero.
    """
    from torchmetrics.functional.image import (
        multiscale_structural_similarity_index_measure as multiscale,
    )

    check_images(MS_SSIM_SMALLEST, visible=visible, thermal=thermal, fused=fused)
    return _mean_of_both(
        lambda x, y: multiscale(x, y, data_range=1.0, reduction="none", normalize="relu"),
        visible,
        thermal,
        fused,
    )


def vif(visible: Tensor, thermal: Tensor, fused: Tensor) -> Tensor:
    """Return VIF(fused | visible) + VIF(fused | thermal); higher is better.

    Source: H. Sheikh, A. Bovik, "Image information and visual quality", 2006; the pixel-domain
    version with noise variance 2 on grey levels 0..255. At least 41x41 pixels.
    """
    from torchmetrics.functional.image import visual_information_fidelity

    check_images(VIF_SMALLEST, visible=visible, thermal=thermal, fused=fused)

    def of_one(i: int, source: Tensor) -> Tensor:
        f, s = (255 * x[i : i + 1].float() for x in (fused, source))
        return visual_information_fidelity(f, s)

    values = [of_one(i, visible) + of_one(i, thermal) for i in range(len(fused))]
    return torch.stack(values).to(fused.dtype)


def _mean_of_both(
    measure: Callable[[Tensor, Tensor], Tensor], visible: Tensor, thermal: Tensor, fused: Tensor
) -> Tensor:
    both = [
        measure(fused.float(), source.float()).reshape(len(fused), -1).mean(1)
        for source in (visible, thermal)
    ]
    return (0.5 * (both[0] + both[1])).to(fused.dtype)
