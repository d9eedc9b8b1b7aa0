# SPDX-License-Identifier: Apache-2.0
"""Fusion quality measures: pure functions on NCHW float tensors in [0, 1].

``MEASURES`` lists them under their names in tables. Some use torchmetrics (extra ``train``), which
they import when they run; the others need torch alone.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fusion_ros.metrics.activity import average_gradient, spatial_frequency, standard_deviation
    from fusion_ros.metrics.brightness import brightness_shares, colour_shift, flipped_edges
    from fusion_ros.metrics.correlation import (
        correlation_coefficient,
        sum_of_correlations_of_differences,
    )
    from fusion_ros.metrics.edge_transfer import nabf, qabf
    from fusion_ros.metrics.feature_information import fmi
    from fusion_ros.metrics.flicker import change_ratio, excess_flicker, flicker_index
    from fusion_ros.metrics.information import entropy, mutual_information
    from fusion_ros.metrics.measures import MEASURES, Measure, score
    from fusion_ros.metrics.objects import object_contrast
    from fusion_ros.metrics.quality_index import edge_image, qe, qw, sobel_magnitude
    from fusion_ros.metrics.similarity import ms_ssim, psnr, ssim, vif

__all__ = [
    "MEASURES",
    "Measure",
    "average_gradient",
    "brightness_shares",
    "change_ratio",
    "colour_shift",
    "correlation_coefficient",
    "edge_image",
    "entropy",
    "excess_flicker",
    "flicker_index",
    "flipped_edges",
    "fmi",
    "ms_ssim",
    "mutual_information",
    "nabf",
    "object_contrast",
    "psnr",
    "qabf",
    "qe",
    "qw",
    "score",
    "sobel_magnitude",
    "spatial_frequency",
    "ssim",
    "standard_deviation",
    "sum_of_correlations_of_differences",
    "vif",
]

_MODULES = (
    "activity",
    "brightness",
    "correlation",
    "edge_transfer",
    "feature_information",
    "flicker",
    "information",
    "measures",
    "objects",
    "quality_index",
    "similarity",
)


def __getattr__(name: str) -> Any:
    """Import PyTorch on first use: a replay without measures does not need it."""
    if name in __all__:
        for module in _MODULES:
            found = importlib.import_module(f"{__name__}.{module}")
            if hasattr(found, name):
                return getattr(found, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
