# SPDX-License-Identifier: Apache-2.0
"""Process: the fuse node as shipped, but every inference is done `FUSION_ROS_BENCH_RUNS` times."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from fusion_ros.nodes.fuse_node import main
from fusion_ros.parameters import FuseParameters
from fusion_ros.pipeline import FusionPipeline
from fusion_ros.pipeline_making import make_live_pipeline

RUNS = "FUSION_ROS_BENCH_RUNS"


class RepeatedEngine:
    """An engine that takes `runs` times as long, with all that costs the machine."""

    def __init__(self, engine: Any, runs: int) -> None:
        self._engine, self._runs = engine, runs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def infer(self, visible: np.ndarray, thermal: np.ndarray, **options: Any) -> np.ndarray:
        for _ in range(self._runs - 1):
            self._engine.infer(visible, thermal, **options)
        return self._engine.infer(visible, thermal, **options)


def make_slow(values: FuseParameters, tell: Callable[[str, bool], object]) -> FusionPipeline:
    """The pipeline of the parameters on a slower engine."""
    pipeline = make_live_pipeline(values, tell)
    pipeline.engine = RepeatedEngine(pipeline.engine, int(os.environ[RUNS]))
    return pipeline


if __name__ == "__main__":
    sys.exit(main(pipeline_maker=make_slow))
