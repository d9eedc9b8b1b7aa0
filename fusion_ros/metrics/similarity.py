# SPDX-License-Identifier: Apache-2.0
"""Likeness to both sources by the general measures of image quality, through torchmetrics.

torchmetrics is imported when one of these runs: it comes with the `train` extra. These work in
float32 whatever comes in: in float64 its convolutions take ten times as long.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fusion_ros.metrics.checks import check_images

SSIM_WINDOW = 11
MS_SSIM_SMALLEST = 16 * (SSIM_WINDOW - 1) + 1
VIF_SMALLEST = 41


def psnr(visible: Tensor, thermal: Tensor, fused: Tensor) -> Tensor:
    """PSNR in dB of the mean of both squared errors (the fusion form); N values, higher is better.

    Infinite where the fused image equals both sources.
    """
    check_images(visible=visible, thermal=thermal, fused=fused)
    error = 0.5 * (
        (fused - visible).square().mean(dim=(1, 2, 3))
        + (fused - thermal).square().mean(dim=(1, 2, 3))
    )
    return -10 * torch.log10(error)


def ssim(visible: Tensor, thermal: Tensor, fused: Tensor) -> Tensor:
    """Mean of SSIM(fused, visible) and SSIM(fused, thermal); N values in [-1, 1].

    Source: Z. Wang et al., "Image quality assessment: from error visibility to structural
    similarity", 2004: 11x11 Gaussian window, sigma 1.5, range 1, windows inside the picture only.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    check_images(SSIM_WINDOW, visible=visible, thermal=thermal, fused=fused)

    def interior(x: Tensor, y: Tensor) -> Tensor:
        # torchmetrics' own mean takes in the border, where half the window is mirrored; the
        # published measure does not.
        edge = SSIM_WINDOW // 2
        _, full = structural_similarity_index_measure(
            x, y, data_range=1.0, reduction="none", return_full_image=True
        )
        return full[..., edge:-edge, edge:-edge].mean(dim=(1, 2, 3))

    return _mean_of_both(interior, visible, thermal, fused)


def ms_ssim(visible: Tensor, thermal: Tensor, fused: Tensor) -> Tensor:
    """Mean of the five-scale SSIM against both sources; N values, at least 161x161 pixels.

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
    """VIF, fusion form: VIF(fused | visible) + VIF(fused | thermal); N values, higher is better.

    Source: H. Sheikh, A. Bovik, "Image information and visual quality", 2006; the pixel-domain
    version with noise variance 2 on grey levels 0..255. At least 41x41 pixels.
    """
    from torchmetrics.functional.image import visual_information_fidelity

    check_images(VIF_SMALLEST, visible=visible, thermal=thermal, fused=fused)
    values = [
        sum(
            visual_information_fidelity(
                255 * fused[i : i + 1].float(), 255 * source[i : i + 1].float()
            )
            for source in (visible, thermal)
        )
        for i in range(len(fused))
    ]
    return torch.stack(values).to(fused.dtype)


def _mean_of_both(measure, visible: Tensor, thermal: Tensor, fused: Tensor) -> Tensor:
    both = [
        measure(fused.float(), source.float()).reshape(len(fused), -1).mean(1)
        for source in (visible, thermal)
    ]
    return (0.5 * (both[0] + both[1])).to(fused.dtype)
