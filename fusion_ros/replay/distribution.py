# SPDX-License-Identifier: Apache-2.0
"""A column of figures in a few: count, mean, extremes and percentiles."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def distribution(values: Sequence[float]) -> dict[str, float | None]:
    """Count, mean, extremes and percentiles; None where there is nothing."""
    finite = [value for value in values if math.isfinite(value)]
    names = ("p5", "p50", "p95", "p99")
    if not finite:
        return {"n": 0, "mean": None, "min": None, **dict.fromkeys(names), "max": None}
    ranks = np.percentile(finite, (5, 50, 95, 99))
    return {
        "n": len(finite),
        "mean": float(np.mean(finite)),
        "min": min(finite),
        **{name: float(value) for name, value in zip(names, ranks, strict=True)},
        "max": max(finite),
    }
