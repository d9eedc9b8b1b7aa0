# SPDX-License-Identifier: Apache-2.0
"""Parameters of the node's interfaces: pairing, input, output, loss of a camera, monitoring."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from fusion_ros.imaging.options import ColourOptions, OverlayOptions
from fusion_ros.parameters.specification import derived, parameter
from fusion_ros.streams.clock_offset import LARGEST_OFFSET_MS

_RELIABILITIES = ("auto", "reliable", "best_effort")
_TRANSPORTS = ("auto", "raw", "compressed")


@dataclasses.dataclass(frozen=True)
class PairingParameters:
    """Which frames form a pair."""

    group: ClassVar[str] = "Pairing"

    pairing_policy: str = parameter(
        "nearest",
        "How frames are paired. `nearest`: by the smallest time difference. `approximate` and "
        "`exact`: by the policies of message_filters, where it is installed.",
        choices=("nearest", "approximate", "exact"),
    )
    pairing_tolerance_ms: float = parameter(
        20.0,
        "Largest skew of a pair, |thermal stamp + `thermal_offset_ms` - visible stamp|. A skew "
        "equal to it is accepted.",
        within=(0.0, 10000.0),
        live=True,
    )
    thermal_offset_ms: float = parameter(
        0.0,
        "Constant added to thermal stamps before pairing: positive where they are early, negative "
        "where they are late. fused/status suggests a value where it can be estimated.",
        within=(-LARGEST_OFFSET_MS, LARGEST_OFFSET_MS),
        live=True,
    )
    thermal_offset_auto: bool = parameter(
        False,
        "Follow an offset that changes slowly. The offset in use starts at `thermal_offset_ms` and "
        "moves by at most 2 ms a second to where triggered cameras have equal stamps. The start "
        "has to be right to 0.4 periods of the faster camera, because its stamps repeat with the "
        "period. Stamps of free-running cameras change nothing.",
        live=True,
    )
    thermal_hold_ms: float = parameter(
        -1.0,
        "Largest time between a visible frame without a partner and the thermal frame that is held "
        "for it. Such pairs are fused as well, so that the output has the rate of the visible "
        "camera beside a slower thermal one. -1: one and a half thermal periods, while the thermal "
        "camera is the slower one by a third or more. 0: never. Only with the policy `nearest`.",
        within=(-1.0, 10000.0),
        live=True,
    )
    pairing_queue_size: int = parameter(
        8,
        "Frames of each stream that wait for a partner at any age. More wait while they are at "
        "most 500 ms older than the newest one, up to 64.",
        within=(1, 256),
    )
    stamp_source: str = parameter(
        "header",
        "Source of a frame's stamp. `header`: the message. `arrival`: the time of arrival, for "
        "drivers that leave the stamp zero; the fused image then carries it, too.",
        choices=("header", "arrival"),
    )


@dataclasses.dataclass(frozen=True)
class InputParameters:
    """Subscriptions to the cameras."""

    group: ClassVar[str] = "Input"

    visible_reliability: str = parameter(
        "auto",
        "Reliability of the subscription to the visible camera. `auto`: that of its publishers, "
        "and best effort while there is none.",
        choices=_RELIABILITIES,
    )
    thermal_reliability: str = parameter(
        "auto",
        "Reliability of the subscription to the thermal camera; see `visible_reliability`.",
        choices=_RELIABILITIES,
    )
    visible_transport: str = parameter(
        "auto",
        "Transport of the visible images. `raw`: sensor_msgs/Image. `compressed`: "
        "sensor_msgs/CompressedImage (JPEG, PNG) on the topic with /compressed appended. `auto`: "
        "`compressed` where the topic's name ends in /compressed.",
        choices=_TRANSPORTS,
    )
    thermal_transport: str = parameter(
        "auto",
        "Transport of the thermal images; see `visible_transport`. 16-bit PNG is supported.",
        choices=_TRANSPORTS,
    )
    input_queue_size: int = parameter(
        30,
        "Most frames of each camera that DDS keeps while this process gets no processor time. "
        "They are then paired together and the newest pair is fused; further frames are lost.",
        within=(1, 1000),
    )


@dataclasses.dataclass(frozen=True)
class OutputParameters:
    """Fused image, overlay and their topics."""

    group: ClassVar[str] = "Output"

    colour_dark_luma: int = derived(ColourOptions, "colour_", "dark_luma")
    output_encoding: str = parameter(
        "rgb8",
        "Encoding of the fused image.",
        choices=("rgb8", "bgr8", "mono8"),
        live=True,
    )
    output_reliability: str = parameter(
        "reliable",
        "Reliability of the fused image's publishers; `reliable` also serves best-effort "
        "subscribers.",
        choices=("reliable", "best_effort"),
    )
    jpeg_quality_percent: int = parameter(
        90,
        "JPEG quality of fused/image_raw/compressed, which is made only while it has a subscriber.",
        within=(1, 100),
        live=True,
    )
    overlay_mode: str = derived(OverlayOptions, "overlay_", "mode", live=True)
    overlay_palette: str = derived(OverlayOptions, "overlay_", "palette", live=True)
    overlay_opacity: float = derived(OverlayOptions, "overlay_", "opacity", live=True)
    overlay_isotherm_percent: float = derived(
        OverlayOptions, "overlay_", "isotherm_percent", live=True
    )
    overlay_isotherm_celsius: float = derived(
        OverlayOptions, "overlay_", "isotherm_celsius", live=True
    )
    overlay_scale_bar: bool = derived(OverlayOptions, "overlay_", "scale_bar", live=True)
    overlay_spots: bool = derived(OverlayOptions, "overlay_", "spots", live=True)
    thermal_registered_interpolation: str = parameter(
        "nearest",
        "Interpolation of thermal_registered/image_raw and thermal_registered/temperature. "
        "`nearest`: only numbers that the sensor measured. `linear`: smoother edges.",
        choices=("nearest", "linear"),
        live=True,
    )
    lazy: bool = parameter(
        False,
        "Subscribe to the cameras and fuse only while an image of this node has a subscriber, or "
        "`zones_file` is set.",
    )


@dataclasses.dataclass(frozen=True)
class LossParameters:
    """Conditions under which a camera counts as lost, and the consequence."""

    group: ClassVar[str] = "Loss of a camera"

    on_stream_loss: str = parameter(
        "pass_other",
        "Action while one camera is lost. `pass_other`: publish the other camera's image alone "
        "(visible unchanged, thermal as grey). `hold`: publish nothing. `stop`: deactivate the "
        "node.",
        choices=("pass_other", "hold", "stop"),
        live=True,
    )
    stream_timeout_ms: float = parameter(
        1000.0,
        "A camera is lost after this time without a frame, or after 2.5 of its usual periods, "
        "whichever is longer.",
        within=(1.0, 600000.0),
        live=True,
    )
    detect_shutter: bool = parameter(
        True,
        "Reject thermal frames without content, as from a closed shutter. A thermal camera that "
        "sends only such frames is lost after `stream_timeout_ms`.",
        live=True,
    )
    frozen_after_ms: float = parameter(
        2000.0,
        "A thermal camera that repeats one image bit for bit for longer than this is frozen and "
        "lost. Required in addition: its images had noise before, or the whole visible view "
        "changed meanwhile. 0: never, for simulated cameras without noise.",
        within=(0.0, 600000.0),
        live=True,
    )


@dataclasses.dataclass(frozen=True)
class MonitoringParameters:
    """Status, alignment check and trace."""

    group: ClassVar[str] = "Monitoring"

    status_every_frame: bool = parameter(
        False, "Publish fused/status with every fused image, not only once a second.", live=True
    )
    alignment_period_s: float = parameter(
        0.5,
        "Period of the alignment check, which compares the edges of both images after publishing "
        "and takes about 3 ms. It detects cameras that moved relative to each other. 0: never.",
        within=(0.0, 86400.0),
    )
    alignment_warn_px: float = parameter(
        8.0,
        "Shift of the thermal image [visible pixels] above which diagnostics warn that the "
        "cameras moved relative to each other.",
        within=(0.0, 1000.0),
        live=True,
    )
    trace_file: str = parameter(
        "",
        "Path of a CSV file with all timings of each fused image; rotated at 32 MiB. Empty: none.",
    )
