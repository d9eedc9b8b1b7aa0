# SPDX-License-Identifier: Apache-2.0
"""Count, mean, extremes and percentiles of a series: the one rule for node, replay and benchmarks.

Percentiles are by nearest rank: the smallest value that at least so many percent do not exceed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

PERCENTS = (5, 50, 95, 99)


def percentiles(values: Sequence[float], percents: Sequence[float] = PERCENTS) -> list[float]:
    """Return percentiles by nearest rank, NaN for an empty series."""
    ordered = sorted(values)
    if not ordered:
        return [math.nan] * len(percents)
    ranks = (math.ceil(percent * len(ordered) / 100) for percent in percents)
    return [ordered[max(0, rank - 1)] for rank in ranks]


def describe_series(values: Sequence[float]) -> dict[str, float | None]:
    """Return count, mean, extremes and percentiles of the finite values; None where undefined."""
    finite = [value for value in values if math.isfinite(value)]
    names = [f"p{percent}" for percent in PERCENTS]
    if not finite:
        return {"n": 0, "mean": None, "min": None, **dict.fromkeys(names), "max": None}
    return {
        "n": len(finite),
        "mean": math.fsum(finite) / len(finite),
        "min": min(finite),
        **dict(zip(names, percentiles(finite), strict=True)),
        "max": max(finite),
    }
