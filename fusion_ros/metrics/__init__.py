# SPDX-License-Identifier: Apache-2.0
"""Fusion quality measures: pure functions on float tensors in [0, 1].

Unless a measure states otherwise, `visible`, `thermal` and `fused` are N, C, H, W of one shape, and
it returns N values. ``MEASURES`` lists the measures under their names in tables. Some use
torchmetrics (extra ``train``), which they import when they run; the others need torch alone.
"""

from __future__ import annotations

import importlib
from typing import Any

_NAMES = {
    "activity": "average_gradient spatial_frequency standard_deviation",
    "brightness": "brightness_shares colour_shift flipped_edges",
    "correlation": "correlation_coefficient sum_of_correlations_of_differences",
    "edge_transfer": "nabf qabf",
    "feature_information": "fmi",
    "flicker": "change_ratio excess_flicker flicker_index static_change",
    "information": "entropy mutual_information",
    "measures": "MEASURES Measure score",
    "objects": "object_contrast",
    "quality_index": "edge_image qe qw sobel_magnitude",
    "similarity": "ms_ssim psnr ssim vif",
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names.split()}
__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    """Import PyTorch on first use: a replay without measures does not need it."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
