# SPDX-License-Identifier: Apache-2.0
"""Classical fusion to compare with; lives in `fusion_ros.baselines`, where the replay finds it."""

from fusion_ros.baselines import (
    BASELINES,
    average,
    guided_filter,
    laplacian_pyramid,
    maximum,
)

__all__ = ["BASELINES", "average", "guided_filter", "laplacian_pyramid", "maximum"]
