# SPDX-License-Identifier: Apache-2.0
"""Process: the fuse node with inferences of at least `FUSION_ROS_BENCH_INFER_MS` milliseconds.

Each inference is repeated until the time is over, so the load is that of a slow engine.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from fusion_ros.nodes.fuse.fuse_node import main
from fusion_ros.parameters import FuseParameters
from fusion_ros.pipeline import FusionPipeline
from fusion_ros.pipeline_factory import make_live_pipeline

INFER_MS = "FUSION_ROS_BENCH_INFER_MS"


class StretchedEngine:
    """An engine that takes `at_least_ms` for each pair."""

    def __init__(self, engine: Any, at_least_ms: float) -> None:
        self._engine, self._at_least_ms = engine, at_least_ms

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def infer(self, visible: np.ndarray, thermal: np.ndarray, **options: Any) -> np.ndarray:
        end_s = time.monotonic() + self._at_least_ms / 1e3
        while True:
            fused = self._engine.infer(visible, thermal, **options)
            if time.monotonic() >= end_s:
                return fused


def make_slow(values: FuseParameters, notify: Callable[[str, bool], object]) -> FusionPipeline:
    """Return the pipeline of the parameters with a slower engine."""
    pipeline = make_live_pipeline(values, notify)
    pipeline.engine = StretchedEngine(pipeline.engine, float(os.environ[INFER_MS]))
    return pipeline


if __name__ == "__main__":
    sys.exit(main(pipeline_maker=make_slow))
