# SPDX-License-Identifier: Apache-2.0
"""All measures by their names in tables, with the better direction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import torch
from torch import Tensor

from fusion_ros.metrics import activity, correlation, edge_transfer, information, similarity
from fusion_ros.metrics.feature_information import fmi
from fusion_ros.metrics.names import HIGHER_IS_BETTER
from fusion_ros.metrics.quality_index import qe, qw


@dataclass(frozen=True)
class Measure:
    """A measure of (visible, thermal, fused), each N, 1, H, W in [0, 1], with N values.

    Attributes:
        name: name in tables.
        compute: function of the three images.
        higher_is_better: whether higher values are better.
        smallest: least side of an image in pixels.
    """

    name: str
    compute: Callable[[Tensor, Tensor, Tensor], Tensor]
    higher_is_better: bool
    smallest: int


def _of_fused(measure: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    return lambda visible, thermal, fused: measure(fused)


_COMPUTE: Mapping[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "qw": qw,
    "qe": qe,
    "EN": _of_fused(information.entropy),
    "SD": _of_fused(activity.standard_deviation),
    "SF": _of_fused(activity.spatial_frequency),
    "AG": _of_fused(activity.average_gradient),
    "MI": information.mutual_information,
    "SCD": correlation.sum_of_correlations_of_differences,
    "CC": correlation.correlation_coefficient,
    "VIF": similarity.vif,
    "Qabf": edge_transfer.qabf,
    "Nabf": edge_transfer.nabf,
    "SSIM": similarity.ssim,
    "MS-SSIM": similarity.ms_ssim,
    "FMI": partial(fmi, stride=3),
    "PSNR": similarity.psnr,
}
_SMALLEST = {
    "VIF": similarity.VIF_SMALLEST,
    "SSIM": similarity.SSIM_WINDOW,
    "MS-SSIM": similarity.MS_SSIM_SMALLEST,
}
MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        name: Measure(name, _COMPUTE[name], higher, _SMALLEST.get(name, 8))
        for name, higher in HIGHER_IS_BETTER.items()
    }
)


def score(
    visible: Tensor, thermal: Tensor, fused: Tensor, names: Iterable[str] = tuple(MEASURES)
) -> dict[str, float]:
    """Return the named measures (keys of `MEASURES`) of one image; all are 1, 1, H, W in [0, 1].

    A value is NaN if the image is too small for its measure.
    """
    with torch.inference_mode():
        return {
            name: float("nan")
            if min(fused.shape[-2:]) < MEASURES[name].smallest
            else float(MEASURES[name].compute(visible, thermal, fused)[0])
            for name in names
        }
