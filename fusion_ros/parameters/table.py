# SPDX-License-Identifier: Apache-2.0
"""The fuse node's parameters: one table, as the fields of one record.

The record's fields feed the node's declarations and checks, `config/fuse.yaml` and
`docs/reference/parameters.md` (both written by `python -m fusion_ros.parameters.files`). No ROS.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, TypeVar

from fusion_ros.engines.choice import DEVICE_NAMES, ENGINE_NAMES
from fusion_ros.imaging import colour, palettes
from fusion_ros.model.config import PRESETS
from fusion_ros.parameters.specification import (
    ParameterError,
    ParameterSpec,
    Value,
    parameter,
    specs_of,
)
from fusion_ros.registration import warp as registration
from fusion_ros.streams.clock_offset import LARGEST_OFFSET_MS
from fusion_ros.streams.outside_text import printable
from fusion_ros.thermal import tone_options

Options = TypeVar("Options")


def _tone(name: str, default: Value, meaning: str) -> Any:
    """A field of `ToneOptions` as the parameter `tone_NAME`, with the range that it has there."""
    low, high = tone_options.RANGES.get(name, (None, None))
    choices = tone_options.CHOICES.get(name, ())
    return parameter(default, meaning, group=_TONE, low=low, high=high, choices=choices, live=True)


_NETWORK, _PAIRING, _TONE = "Network and engine", "Pairing", "Thermal tone mapping"
_REGISTRATION, _INPUT, _OUTPUT = "Registration", "Input", "Output"
_LOSS, _WATCH = "Loss of a camera", "Monitoring"
_RELIABILITIES = ("auto", "reliable", "best_effort")
_TRANSPORTS = ("auto", "raw", "compressed")


@dataclasses.dataclass(frozen=True)
class FuseParameters:
    """All parameters of the fuse node; a field is one, described by its `ParameterSpec`."""

    # fmt: off
    autostart: bool = parameter(
        True, "Configure and activate at start. false: wait for a lifecycle manager to do it.",
        group=_NETWORK,
    )
    preset: str = parameter(
        "compact",
        "Network to run with its shipped weights: compact (ours, fast) or paper (as published).",
        group=_NETWORK, choices=tuple(PRESETS),
    )
    weights: str = parameter(
        "", "Path of a safetensors file to run in place of the preset's shipped weights.",
        group=_NETWORK,
    )
    engine: str = parameter(
        "auto", "What runs the network; auto takes the best that can run here.",
        group=_NETWORK, choices=ENGINE_NAMES,
    )
    device: str = parameter(
        "auto", "Where it runs; auto takes a GPU where one answers.",
        group=_NETWORK, choices=DEVICE_NAMES,
    )
    precision: str = parameter(
        "auto",
        "Number format of the network: float16 on a GPU, bfloat16 on CPUs made for it, else "
        "float32, unless one is named. int8 is for TensorRT alone.",
        group=_NETWORK, choices=("auto", "float32", "bfloat16", "float16", "int8"),
    )
    fallback: bool = parameter(
        True,
        "When the engine fails while running, go on with the next one that can run here, say so, "
        "and try the first one again later. false: pairs are rejected until it works again.",
        group=_NETWORK,
    )
    engine_deadline_ms: float = parameter(
        2000.0,
        "Longest time [ms] that fusing one pair may take. Past it the pair is rejected, "
        "diagnostics report an error, and the next engine goes on where fallback is true. The "
        "first pair of a size has a minute, since engines compile for it.",
        group=_NETWORK, low=10.0, high=600000.0, live=True,
    )
    warm_up_width: int = parameter(
        640, "Width [pixels] of the visible frames to prepare for while configuring.",
        group=_NETWORK, low=1, high=16384,
    )
    warm_up_height: int = parameter(
        480, "Height [pixels] of the visible frames to prepare for while configuring.",
        group=_NETWORK, low=1, high=16384,
    )

    pairing_policy: str = parameter(
        "nearest",
        "Who meets whom: nearest (ours: the smallest skew), or approximate or exact as "
        "message_filters does it, where that is installed.",
        group=_PAIRING, choices=("nearest", "approximate", "exact"),
    )
    pairing_tolerance_ms: float = parameter(
        20.0,
        "Largest skew of a pair, both ends included: |thermal stamp + thermal_offset_ms - visible "
        "stamp|.",
        group=_PAIRING, low=0.0, high=10000.0, live=True,
    )
    thermal_offset_ms: float = parameter(
        0.0,
        "Constant added to thermal stamps before pairing, for a camera whose stamps are early (+) "
        "or late (-). The status hints at a value where there is one.",
        group=_PAIRING, low=-LARGEST_OFFSET_MS, high=LARGEST_OFFSET_MS, live=True,
    )
    pairing_queue_size: int = parameter(
        8, "Frames of each stream that may wait for a partner.", group=_PAIRING, low=1, high=256,
    )
    stamp_source: str = parameter(
        "header",
        "When a frame was taken: its header says, or it counts by its arrival (for drivers that "
        "stamp zero; the fused image is then stamped with the arrival, too).",
        group=_PAIRING, choices=("header", "arrival"),
    )

    visible_reliability: str = parameter(
        "auto",
        "Reliability asked of the visible camera; auto asks for what its publisher offers, and "
        "best effort until there is one.",
        group=_INPUT, choices=_RELIABILITIES,
    )
    thermal_reliability: str = parameter(
        "auto", "The same for the thermal camera.", group=_INPUT, choices=_RELIABILITIES,
    )
    visible_transport: str = parameter(
        "auto",
        "raw: sensor_msgs/Image; compressed: sensor_msgs/CompressedImage (JPEG, PNG) on the topic "
        "with /compressed behind its name; auto: by the topic's name.",
        group=_INPUT, choices=_TRANSPORTS,
    )
    thermal_transport: str = parameter(
        "auto", "The same for the thermal camera; 16-bit PNG is read.",
        group=_INPUT, choices=_TRANSPORTS,
    )

    input_queue_size: int = parameter(
        30,
        "Frames of each camera that DDS may keep while this process gets no processor time. Then "
        "they are paired in one go and the newest pair is fused; what finds the queue full is "
        "lost.",
        group=_INPUT, low=1, high=1000,
    )

    tone_mode: str = _tone(
        "mode", "histogram",
        "How 16-bit and float thermal frames become grey: fixed (tone_fixed_low is black, "
        "tone_fixed_high white), percentile (the frame's own limits), histogram (plateau "
        "equalisation as thermal cameras do it) or clahe (local equalisation; the slow one).",
    )
    tone_low_percent: float = _tone(
        "low_percent", 0.5, "Share [percent] of pixels that may be cut off as black.",
    )
    tone_high_percent: float = _tone(
        "high_percent", 99.5, "Share [percent] of pixels above which the rest is cut off as white.",
    )
    tone_headroom: float = _tone(
        "headroom", 1.0,
        "How far black and white may lie outside the body of the picture [multiples of its range], "
        "so that one very hot object does not take all contrast. 0: no limit.",
    )
    tone_minimum_span: float = _tone(
        "minimum_span", 0.0,
        "Smallest difference [the camera's own numbers] that is stretched from black to white, so "
        "that a flat scene stays flat. 0: from the frame's own noise.",
    )
    tone_fixed_low: float = _tone(
        "fixed_low", 0.0,
        "Black in mode fixed [degrees Celsius, or raw counts where tone_unit is counts].",
    )
    tone_fixed_high: float = _tone(
        "fixed_high", 100.0,
        "White in mode fixed [degrees Celsius, or raw counts where tone_unit is counts].",
    )
    tone_unit: str = _tone(
        "unit", "counts", "What the thermal camera's numbers are; see docs/explanation/thermal.md.",
    )
    tone_linear_scale: float = _tone(
        "linear_scale", 1.0, "Scale [degrees Celsius per count] where tone_unit is linear.",
    )
    tone_linear_offset: float = _tone(
        "linear_offset", 0.0, "Value of count 0 [degrees Celsius] where tone_unit is linear.",
    )
    tone_plateau_percent: float = _tone(
        "plateau_percent", 0.5,
        "Histogram: most [percent of pixels] that one of 256 equal steps may claim. Small leans to "
        "a linear picture, large to full equalisation.",
    )
    tone_linear_percent: float = _tone(
        "linear_percent", 25.0,
        "Histogram: share [percent] of the grey levels handed out linearly, so that a hot object "
        "stays brighter by as much as it is hotter.",
    )
    tone_detail_gain: float = _tone(
        "detail_gain", 0.0, "Fine detail added back [multiples of what a linear mapping shows].",
    )
    tone_clahe_clip: float = _tone(
        "clahe_clip", 2.0, "Clip limit of clahe [multiples of an even histogram].",
    )
    tone_clahe_tiles: int = _tone("clahe_tiles", 8, "Tiles of clahe along each side.")
    tone_polarity: str = _tone(
        "polarity", "white_hot",
        "How the network is shown hot things; the shipped weights were trained on white_hot.",
    )
    tone_input_polarity: str = _tone(
        "input_polarity", "white_hot",
        "How the camera shows hot things; black_hot 8-bit streams are turned round.",
    )
    tone_eight_bit: str = _tone(
        "eight_bit", "stabilise",
        "8-bit thermal frames: pass them through, stabilise them against jumps of the camera's own "
        "gain, or map them like counts.",
    )
    tone_smoothing_s: float = _tone(
        "smoothing_s", 2.0, "Time constant with which the mapping follows the scene. 0: at once.",
    )
    tone_scene_change: float = _tone(
        "scene_change", 0.10,
        "Shift of the middle temperatures [share of the range in use] that counts as another scene "
        "and is followed at once. 0: never.",
    )
    tone_telemetry_rows_top: int = _tone(
        "telemetry_rows_top", 0, "Rows at the top that hold telemetry and no picture; removed.",
    )
    tone_telemetry_rows_bottom: int = _tone(
        "telemetry_rows_bottom", 0,
        "Rows at the bottom that hold telemetry (2 for a Boson 640 that sends 514 rows); removed.",
    )
    tone_dead_pixels: str = parameter(
        "", "Dead pixels of the thermal camera as 'column,row; column,row'; mended from around.",
        group=_TONE, live=True,
    )

    registration_mode: str = parameter(
        "resize",
        "How the thermal frame comes onto the visible grid: none (sizes must be equal), resize, "
        "homography or calibrated (both from registration_calibration_file).",
        group=_REGISTRATION, choices=registration.MODES,
    )
    registration_calibration_file: str = parameter(
        "", "YAML file for homography and calibrated; see docs/explanation/calibration.md.",
        group=_REGISTRATION,
    )
    registration_source: str = parameter(
        "file",
        "Where calibrated has its cameras from: file (all of it), camera_info (intrinsics from "
        "both cameras' topics, the way between them from the file) or tf (that from /tf and "
        "/tf_static, and no file). Until all is there, the thermal camera counts as lost.",
        group=_REGISTRATION, choices=registration.SOURCES,
    )
    registration_distance_m: float = parameter(
        0.0,
        "Distance of the plane on which calibrated is exact. 0: the file's own (tf has none, and "
        "needs a value here).",
        group=_REGISTRATION, low=0.0, high=1e6,
    )
    registration_feather_percent: float = parameter(
        5.0,
        "Width of the seam [percent of the visible picture's] over which thermal detail fades out "
        "where the thermal picture ends inside the visible one; brightness fades over four times "
        "that. 0: a hard edge.",
        group=_REGISTRATION, low=0.0, high=50.0,
    )

    colour_natural_darkening: bool = parameter(
        True,
        "Where the fused luma is darker, scale colours instead of subtracting from each channel.",
        group=_OUTPUT,
    )
    colour_dark_luma: int = parameter(
        40,
        "Visible luma [grey levels] below which colour fades where the thermal picture makes it "
        "brighter: at night it is mostly noise. 0: keep all colour.",
        group=_OUTPUT, low=0, high=255,
    )
    output_encoding: str = parameter(
        "rgb8", "Encoding of the fused image.",
        group=_OUTPUT, choices=("rgb8", "bgr8", "mono8"), live=True,
    )
    output_reliability: str = parameter(
        "reliable",
        "Reliability offered for the fused image; reliable also serves best-effort subscribers.",
        group=_OUTPUT, choices=("reliable", "best_effort"),
    )
    jpeg_quality_percent: int = parameter(
        90, "Quality of fused/image_raw/compressed, which is made only while someone listens.",
        group=_OUTPUT, low=1, high=100, live=True,
    )
    overlay_palette: str = parameter(
        "inferno",
        "False colours of fused/overlay, a picture for people (thermal over visible), made only "
        "while someone listens. No detector should be fed with it.",
        group=_OUTPUT, choices=palettes.PALETTES, live=True,
    )
    overlay_opacity: float = parameter(
        0.6, "Opacity of the hottest pixels of fused/overlay [0 to 1].",
        group=_OUTPUT, low=0.0, high=1.0, live=True,
    )
    lazy: bool = parameter(
        False, "Subscribe to the cameras, and work, only while someone listens to a fused image.",
        group=_OUTPUT,
    )

    on_stream_loss: str = parameter(
        "pass_other",
        "While one camera is lost: pass_other publishes the other one's picture alone (visible as "
        "it is, thermal as grey), hold publishes nothing, stop deactivates the node.",
        group=_LOSS, choices=("pass_other", "hold", "stop"), live=True,
    )
    stream_timeout_ms: float = parameter(
        1000.0,
        "A camera without a frame for this long, and for 2.5 of its usual periods, is lost.",
        group=_LOSS, low=1.0, high=600000.0, live=True,
    )
    detect_shutter: bool = parameter(
        True,
        "Reject thermal frames without content (a closed shutter); a thermal camera without others "
        "is lost after stream_timeout_ms.",
        group=_LOSS, live=True,
    )
    frozen_after_ms: float = parameter(
        2000.0,
        "A thermal camera that repeats one picture bit for bit for longer is frozen, and lost, if "
        "its pictures are known to have noise or the visible view changed as a whole meanwhile. "
        "0: never (simulated cameras without noise).",
        group=_LOSS, low=0.0, high=600000.0, live=True,
    )

    status_every_frame: bool = parameter(
        False, "Publish fused/status with every fused image, besides once a second.",
        group=_WATCH, live=True,
    )
    alignment_period_s: float = parameter(
        0.5,
        "Time between two comparisons of the edges of both pictures, which notice cameras knocked "
        "out of line (3 ms each, after publishing). 0: never.",
        group=_WATCH, low=0.0, high=86400.0,
    )
    alignment_warn_px: float = parameter(
        8.0,
        "Shift of the thermal picture [visible pixels] above which diagnostics warn of a knock.",
        group=_WATCH, low=0.0, high=1000.0, live=True,
    )
    trace_file: str = parameter(
        "", "CSV file that gets a line with all timings of each fused image; rotated at 32 MiB.",
        group=_WATCH,
    )
    # fmt: on

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> FuseParameters:
        """Check every value, then what they must satisfy together.

        Raises:
            ParameterError: names the first parameter that cannot be used.
        """
        known = {spec.name: spec for spec in SPECS}
        if unknown := sorted(set(values) - set(known), key=str):
            raise ParameterError.of_unknown(unknown, known)
        result = cls(**{name: known[name].check(value) for name, value in values.items()})
        result.tone_options()
        result.registration_options()
        result.colour_options()
        result.overlay_options()
        return result

    def changed(self, changes: Mapping[str, Any]) -> FuseParameters:
        """Return the whole record after some changes, checked as `from_values` does.

        Raises:
            ParameterError: a value alone, or the record that results, cannot be used.
        """
        return self.from_values({**dataclasses.asdict(self), **changes})

    def tone_options(self) -> tone_options.ToneOptions:
        """The `tone_*` parameters as the tone mapper takes them.

        Raises:
            ParameterError: they do not go together.
        """
        values = self._with_prefix("tone_")
        try:
            pixels = [pair.split(",") for pair in self.tone_dead_pixels.split(";") if pair.strip()]
            values["dead_pixels"] = tuple(int(n) for column, row in pixels for n in (column, row))
        except ValueError:
            raise ParameterError(
                f"parameter tone_dead_pixels is {printable(repr(self.tone_dead_pixels))}; allowed: "
                "'column,row; column,row; ...'"
            ) from None
        return _together("tone_", tone_options.ToneOptions, values)

    def registration_options(self) -> registration.RegistrationOptions:
        """The `registration_*` parameters as the registration takes them.

        Raises:
            ParameterError: they do not go together.
        """
        return _together(
            "registration_",
            registration.RegistrationOptions,
            self._with_prefix("registration_"),
        )

    def colour_options(self) -> colour.ColourOptions:
        """The `colour_*` parameters as the pipeline takes them."""
        return _together("colour_", colour.ColourOptions, self._with_prefix("colour_"))

    def overlay_options(self) -> palettes.OverlayOptions:
        """The `overlay_*` parameters as the overlay takes them."""
        return _together("overlay_", palettes.OverlayOptions, self._with_prefix("overlay_"))

    def _with_prefix(self, prefix: str) -> dict[str, Any]:
        values = dataclasses.asdict(self)
        return {
            name.removeprefix(prefix): value
            for name, value in values.items()
            if name.startswith(prefix)
        }


def _together(prefix: str, kind: type[Options], values: dict[str, Any]) -> Options:
    """Return the options that parameters of one prefix make together.

    Raises:
        ParameterError: they do not go together; it names them as parameters.
    """
    try:
        return kind(**values)
    except ValueError as error:
        option = re.compile(rf"(?<![\w'])(?:{'|'.join(values)})\b")
        names = sorted({prefix + name for name in option.findall(str(error))})
        told = option.sub(lambda name: prefix + name[0], str(error))
        raise ParameterError(f"parameters {prefix}*: {told}", names=names) from error


SPECS: tuple[ParameterSpec, ...] = specs_of(FuseParameters)
