# SPDX-License-Identifier: Apache-2.0
"""The pipeline that the parameters describe."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fusion_ros.nodes.parameters import FuseParameters

if TYPE_CHECKING:
    from fusion_ros.pipeline import FusionPipeline


def make_pipeline(values: FuseParameters, tell: Callable[[str, bool], object]) -> FusionPipeline:
    """Load, build and warm up whatever the parameters ask for.

    torch takes seconds to import; it is imported here, when the node is on the graph already.

    Args:
        values: the node's parameters.
        tell: takes a line of text when the engine changes later on, and whether it is good news.

    Raises:
        ValueError: parameters, network config, weights, calibration; the message has the culprit.
        RuntimeError: the engine (`EngineError`).
    """
    from fusion_ros.calibration.files import make_registration
    from fusion_ros.engines.choice import choose, create_engine, probe_engines
    from fusion_ros.engines.fallback import FallbackEngine
    from fusion_ros.imaging.tone import ThermalToneMapper
    from fusion_ros.model.weights import load_weights, shipped_weights
    from fusion_ros.pipeline import FusionPipeline

    weights = load_weights(values.weights or shipped_weights(values.preset))
    wanted = choose(values.engine, values.device)
    engines = [(values.engine, values.device, values.precision)]
    if values.fallback:
        engines += [
            (probe.name, probe.device, "auto")
            for probe in probe_engines()
            if probe.available and (probe.name, probe.device) != (wanted.name, wanted.device)
        ]
    engine = FallbackEngine(
        [
            lambda e=e: create_engine(weights, name=e[0], device=e[1], precision=e[2])
            for e in engines
        ],
        tell=tell,
    )
    pipeline = FusionPipeline(
        engine,
        tone=ThermalToneMapper(values.tone_options()),
        registration=make_registration(values.registration_options()),
        colour=values.colour_options(),
    )
    pipeline.warm_up(values.warm_up_height, values.warm_up_width)
    return pipeline


def apply_live(pipeline: FusionPipeline, values: FuseParameters) -> None:
    """Hand changed live parameters to a pipeline; they hold from its next frame on."""
    from fusion_ros.imaging.tone import ThermalToneMapper

    options = values.tone_options()
    if options != pipeline.tone.options:
        pipeline.tone = ThermalToneMapper(options)
