# SPDX-License-Identifier: Apache-2.0
"""Names of all measures in tables, without PyTorch, which the measures themselves need."""

from collections.abc import Mapping
from types import MappingProxyType

_NAMES = (
    "qw", "qe", "EN", "SD", "SF", "AG", "MI", "SCD", "CC", "VIF", "Qabf", "Nabf", "SSIM", "MS-SSIM",
    "FMI", "PSNR",
)  # fmt: skip

HIGHER_IS_BETTER: Mapping[str, bool] = MappingProxyType({name: name != "Nabf" for name in _NAMES})
"""Whether higher values are better, by the name of the measure in the order of tables."""
