# SPDX-License-Identifier: Apache-2.0
"""Parameters of the computation on one pair: network, tone curve, registration, colour."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from fusion_ros.engines.choice import DEVICE_NAMES, ENGINE_NAMES
from fusion_ros.model.config import PRESETS
from fusion_ros.parameters.specification import derived, parameter
from fusion_ros.registration.options import RegistrationOptions
from fusion_ros.thermal.spot_options import SpotOptions
from fusion_ros.thermal.tone_options import ToneOptions


def _tone(name: str) -> Any:
    return derived(ToneOptions, "tone_", name, live=True)


def _registration(name: str) -> Any:
    return derived(RegistrationOptions, "registration_", name)


@dataclasses.dataclass(frozen=True)
class NetworkParameters:
    """Start-up, network and engine."""

    group: ClassVar[str] = "Network and engine"

    autostart: bool = parameter(
        True,
        "Configure and activate the node at start. `false`: a lifecycle manager does it.",
    )
    preset: str = parameter(
        "compact",
        "Network to run, with its shipped weights. `compact`: a small, fast network trained for "
        "this package. `compact_permissive`: the same network, trained only on data whose terms "
        "allow products. `paper`: the architecture as published.",
        choices=tuple(PRESETS),
    )
    weights: str = parameter(
        "",
        "Path of a safetensors file with other weights. Empty: the shipped weights of `preset`. "
        "OpenVINO reads the ONNX file beside it, or lets PyTorch convert the weights once.",
    )
    engine: str = parameter(
        "auto",
        "Inference engine. `auto`: the first that runs on this machine, in the order TensorRT, "
        "PyTorch on CUDA, OpenVINO, PyTorch on the CPU.",
        choices=ENGINE_NAMES,
    )
    device: str = parameter(
        "auto",
        "Device of the inference engine. `auto`: a GPU where one is usable, else the CPU.",
        choices=DEVICE_NAMES,
    )
    precision: str = parameter(
        "auto",
        "Number format of the network. `auto`: float16 on a GPU, bfloat16 on CPUs with "
        "instructions for it, else int8 on OpenVINO if a trial shows that it is faster and keeps "
        "the image, else float32. `int8` needs OpenVINO and an int8 file beside the weights.",
        choices=("auto", "float32", "bfloat16", "float16", "int8"),
    )
    fallback: bool = parameter(
        True,
        "When the engine fails, continue with the next one that runs on this machine, report it, "
        "and retry the first one later. `false`: pairs are rejected until it works again.",
    )
    engine_deadline_ms: float = parameter(
        2000.0,
        "Longest time [ms] that fusing one pair may take. When it is exceeded, the pair is "
        "rejected, diagnostics report an error, and `fallback` applies. The first pair of each "
        "image size has 60 s, since engines compile for a size.",
        within=(10.0, 600000.0),
        live=True,
    )
    warm_up_width: int = parameter(
        640,
        "Width [pixels] of the visible images that `configure` prepares the engine for.",
        within=(1, 16384),
    )
    warm_up_height: int = parameter(
        480,
        "Height [pixels] of the visible images that `configure` prepares the engine for.",
        within=(1, 16384),
    )


@dataclasses.dataclass(frozen=True)
class ToneParameters:
    """`ToneOptions` as parameters."""

    group: ClassVar[str] = "Thermal tone mapping"

    tone_mode: str = _tone("mode")
    tone_low_percent: float = _tone("low_percent")
    tone_high_percent: float = _tone("high_percent")
    tone_headroom: float = _tone("headroom")
    tone_minimum_span: float = _tone("minimum_span")
    tone_fixed_low: float = _tone("fixed_low")
    tone_fixed_high: float = _tone("fixed_high")
    tone_unit: str = _tone("unit")
    tone_linear_scale: float = _tone("linear_scale")
    tone_linear_offset: float = _tone("linear_offset")
    tone_emissivity: float = _tone("emissivity")
    tone_reflected_celsius: float = _tone("reflected_celsius")
    tone_plateau_percent: float = _tone("plateau_percent")
    tone_linear_percent: float = _tone("linear_percent")
    tone_detail_gain: float = _tone("detail_gain")
    tone_clahe_clip: float = _tone("clahe_clip")
    tone_clahe_tiles: int = _tone("clahe_tiles")
    tone_polarity: str = _tone("polarity")
    tone_input_polarity: str = _tone("input_polarity")
    tone_eight_bit: str = _tone("eight_bit")
    tone_smoothing_s: float = _tone("smoothing_s")
    tone_scene_change: float = _tone("scene_change")
    tone_crop_top_percent: float = _tone("crop_top_percent")
    tone_crop_bottom_percent: float = _tone("crop_bottom_percent")
    tone_telemetry_rows_top: int = _tone("telemetry_rows_top")
    tone_telemetry_rows_bottom: int = _tone("telemetry_rows_bottom")
    # Text, since ROS gives an empty list no type.
    tone_dead_pixels: str = parameter(
        "",
        "Dead pixels of the thermal camera as 'column,row; column,row'; each is replaced by the "
        "median of its neighbours.",
        live=True,
    )
    tone_region: str = parameter(
        "",
        "Part of the thermal image that determines the tone curve, as a polygon 'x,y; x,y; x,y' in "
        "shares of its width and height, so that a cold sky does not take the contrast. The lower "
        "two thirds: '0,.33; 1,.33; 1,1; 0,1'. Empty: the whole image.",
        live=True,
    )


@dataclasses.dataclass(frozen=True)
class TemperatureParameters:
    """`SpotOptions` as parameters, and zones."""

    group: ClassVar[str] = "Temperatures"

    spots_mode: str = derived(SpotOptions, "spots_", "mode")
    spots_limit: float = derived(SpotOptions, "spots_", "limit")
    spots_least_area_px: int = derived(SpotOptions, "spots_", "least_area_px")
    zones_file: str = parameter(
        "",
        "Path of a YAML file with zones of the visible image and their temperature limits, which "
        "raise diagnostics; see docs/how-to/thermal-camera.md. Empty: none.",
    )


@dataclasses.dataclass(frozen=True)
class RegistrationParameters:
    """`RegistrationOptions` as parameters."""

    group: ClassVar[str] = "Registration"

    registration_mode: str = _registration("mode")
    registration_calibration_file: str = _registration("calibration_file")
    registration_source: str = _registration("source")
    registration_distance_m: float = _registration("distance_m")
    registration_feather_percent: float = _registration("feather_percent")
