# SPDX-License-Identifier: Apache-2.0
"""Make a pipeline from the node's parameters."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from fusion_ros.parameters import FuseParameters, ParameterError

if TYPE_CHECKING:
    from fusion_ros.engines.engine import Engine
    from fusion_ros.model.weights import LoadedWeights
    from fusion_ros.pipeline import FusionPipeline


def make_pipeline(values: FuseParameters) -> FusionPipeline:
    """Make the pipeline that the parameters describe, without fallback.

    Raises:
        ValueError: parameters, network config, weights or calibration, with the faulty value.
        RuntimeError: the engine (`EngineError`).
    """
    from fusion_ros.engines.choice import create_engine

    if values.registration_options().is_live:
        raise ValueError(
            f"parameter registration_source is {values.registration_source!r}, which needs a "
            "running node; allowed here: 'file' (`fusion-ros calibrate --import-camera-info` "
            "converts two camera_infos to a file)"
        )
    engine = create_engine(
        _weights(values), name=values.engine, device=values.device, precision=values.precision
    )
    return pipeline_around(engine, values)


def make_live_pipeline(
    values: FuseParameters, notify: Callable[[str, bool], object]
) -> FusionPipeline:
    """Make the pipeline for a robot: with fallback, and warmed up.

    Args:
        values: the node's parameters.
        notify: function of a line of text and its kind (True: recovery), called when the engine
            changes later or the calibration is doubtful.

    Raises:
        ValueError: parameters, network config, weights or calibration, with the faulty value.
        RuntimeError: the engine (`EngineError`).
    """
    from fusion_ros.calibration.plausibility import registration_doubts
    from fusion_ros.engines.choice import create_engine, probe_engines
    from fusion_ros.engines.fallback import FallbackEngine

    size = (values.warm_up_height, values.warm_up_width)
    make = functools.partial(create_engine, _weights(values), size=size)
    makers = [
        functools.partial(
            make, name=values.engine, device=values.device, precision=values.precision
        )
    ]
    first = makers[0]()
    running = first.describe()
    if values.fallback:
        # `auto` may run another engine than the preferred one, which then is a fallback, too.
        makers += [
            functools.partial(make, name=probe.name, device=probe.device)
            for probe in probe_engines()
            if probe.available and (probe.name, probe.device) != (running.name, running.device)
        ]
    engine = FallbackEngine(makers, first=first, notify=notify)
    pipeline = pipeline_around(engine, values)
    for doubt in registration_doubts(pipeline.registration):
        notify(f"doubtful calibration: {doubt}", False)
    pipeline.warm_up(values.warm_up_height, values.warm_up_width)
    return pipeline


def _weights(values: FuseParameters) -> LoadedWeights:
    from fusion_ros.model.weights import load_weights, shipped_weights

    return load_weights(values.weights or shipped_weights(values.preset))


def pipeline_around(engine: Engine, values: FuseParameters) -> FusionPipeline:
    """Make the pipeline that the parameters describe around an existing engine."""
    from fusion_ros.calibration.files import make_registration
    from fusion_ros.pipeline import FusionPipeline
    from fusion_ros.thermal.tone import ThermalToneMapper

    try:
        registration = make_registration(values.registration_options())
    except ValueError as error:
        raise ParameterError(f"parameters registration_*: {error}") from error
    return FusionPipeline(
        engine,
        tone=ThermalToneMapper(values.tone_options()),
        registration=registration,
        colour=values.colour_options(),
    )


def apply_live(pipeline: FusionPipeline, values: FuseParameters) -> None:
    """Apply changed live parameters to a pipeline, from its next frame on."""
    from fusion_ros.thermal.tone import ThermalToneMapper

    options = values.tone_options()
    if options != pipeline.tone.options:
        pipeline.tone = ThermalToneMapper(options)
