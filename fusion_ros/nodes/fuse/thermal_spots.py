# SPDX-License-Identifier: Apache-2.0
"""`thermal/spots`: hottest and coldest place, regions above a threshold, and zones with limits."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rclpy.lifecycle import LifecycleNode, LifecyclePublisher
from std_msgs.msg import Header

from fusion_ros.imaging.encodings import ChannelOrder
from fusion_ros.imaging.marks import WHITE, Mark
from fusion_ros.nodes.fuse.messages import publish_message
from fusion_ros.nodes.fuse.publishing_lane import PublishingLane
from fusion_ros.nodes.fuse.registered_thermal import thermal_of
from fusion_ros.parameters import FuseParameters, ParameterError
from fusion_ros.pipeline import FusionPipeline
from fusion_ros.registration.warp import ThermalRegistration
from fusion_ros.streams.pair_flow import FramePair, LoneFrame
from fusion_ros.thermal.spots import Spot, Spots
from fusion_ros.thermal.zones import (
    Zone,
    ZoneFileError,
    ZoneLevel,
    ZoneState,
    ZoneWatch,
    load_zones,
    zone_unit,
)

try:
    from fusion_ros.msg import ThermalSpot, ThermalSpots
except ImportError:  # a plain pip install has no generated messages
    ThermalSpot = ThermalSpots = None

_COLOURS = {ZoneLevel.WARN: (255, 200, 0), ZoneLevel.ERROR: (255, 60, 60)}


class SpotsOutput:
    """Publisher of `thermal/spots`, and the states of the zones for diagnostics.

    Args:
        node: its node.
        values: the parameters; `spots_*` and `zones_file` are read once.
        make_lane: returns a publishing thread for a publisher and a function.

    Raises:
        ParameterError: the zone file cannot be used.
    """

    def __init__(
        self,
        node: LifecycleNode,
        values: FuseParameters,
        make_lane: Callable[..., PublishingLane],
    ) -> None:
        self._options = values.spot_options()
        self._watch: ZoneWatch | None = None
        self._zones: tuple[Zone, ...] = ()
        if values.zones_file:
            try:
                self._zones = load_zones(values.zones_file, values.tone_unit)
            except ZoneFileError as error:
                raise ParameterError(f"parameter zones_file: {error}") from error
            self._watch = ZoneWatch(self._zones)
        self._unit = zone_unit(values.tone_unit)
        self.zones: tuple[ZoneState, ...] = ()
        """Newest states of the zones."""
        self._evaluated_s = time.monotonic()
        self._registration: ThermalRegistration | None = None
        self.publisher: LifecyclePublisher | None = None
        self.lane: PublishingLane | None = None
        if self._options.mode == "off" and self._watch is None:
            return
        if ThermalSpots is None:
            node.get_logger().warning(
                "fusion_ros/msg/ThermalSpots was not built, so thermal/spots is not published "
                "(zones still raise diagnostics); build it with colcon, or with `make setup`"
            )
            return
        self.publisher = node.create_lifecycle_publisher(ThermalSpots, "thermal/spots", 10)
        self.lane = make_lane(self.publisher, self._send)

    @property
    def zones_age_s(self) -> float | None:
        """Seconds since the zones were evaluated or `restart` was called; None without zones."""
        return None if self._watch is None else time.monotonic() - self._evaluated_s

    def restart(self) -> None:
        """Begin to wait for frames: the node became active."""
        self.zones, self._evaluated_s = (), time.monotonic()

    def check_unit(self, values: FuseParameters) -> None:
        """Refuse a unit in which the limits of the zones have no meaning.

        Raises:
            ParameterError: `tone_unit` changes between counts and degrees.
        """
        if self._watch is not None and zone_unit(values.tone_unit) != self._unit:
            raise ParameterError(
                f"parameter tone_unit is {values.tone_unit!r}, but the limits in zones_file are in "
                f"{self._unit}; clean up the node, set both, and configure again"
            )

    def listeners(self) -> int:
        """Return the number of subscribers."""
        return self.publisher.get_subscription_count() if self.publisher else 0

    def take(
        self, job: FramePair | LoneFrame, pipeline: FusionPipeline, *, drawn: bool = False
    ) -> tuple[Mark, ...]:
        """Evaluate the thermal frame of a job; in the worker's thread.

        Args:
            job: a pair, or a thermal frame that passes alone.
            pipeline: the pipeline that fused it.
            drawn: whether marks are needed.

        Returns:
            Spots and zones on the visible grid, if `drawn`.

        Raises:
            ValueError: the frames do not fit the calibration.
        """
        listened = self.listeners() > 0
        if not (self._watch or listened or drawn) or (found := thermal_of(job)) is None:
            return ()
        thermal, visible_shape, header = found
        pixels, order = thermal.pixels.pixels, thermal.pixels.order
        in_celsius = pipeline.tone.options.celsius_unit() is not None
        size = np.array(visible_shape[::-1])
        if self._watch is not None:
            self._watch_zones(self._watch, pipeline, pixels, order, size)
        if not (listened or drawn):
            return ()
        spots = pipeline.spots(pixels, visible_shape, self._options, thermal_order=order)
        if spots is None:
            return ()
        if listened:
            assert self.lane is not None
            self.lane.submit((header, spots, in_celsius, self.zones))
        return self._marks(spots, "{:.1f} C" if in_celsius else "{:.0f}", size) if drawn else ()

    def _watch_zones(
        self,
        watch: ZoneWatch,
        pipeline: FusionPipeline,
        pixels: np.ndarray,
        order: ChannelOrder,
        size: np.ndarray,
    ) -> None:
        """Evaluate the zones; `size` is width and height of the visible grid."""
        registration = pipeline.registration
        frame = pipeline.sensor_frame(pixels, thermal_order=order)
        if registration is not self._registration:
            watch.move()
            self._registration = registration
        self.zones = watch(
            frame,
            pipeline.tone.options.celsius_unit(),
            lambda shares: registration.mapped_points(
                shares * size - 0.5, frame.shape, tuple(size[::-1]), to_visible=False
            ),
        )
        self._evaluated_s = time.monotonic()

    def _marks(self, spots: Spots, shown: str, size: np.ndarray) -> tuple[Mark, ...]:
        """Return spots and zones as marks; `shown` is the format of a value."""
        marks = [
            Mark(np.array([(spot.x, spot.y)]), shown.format(spot.value))
            for spot in (spots.hottest, spots.coldest)
        ]
        for zone, state in zip(self._zones, self.zones, strict=True):
            value = "not seen" if state.level is ZoneLevel.UNSEEN else shown.format(state.hottest)
            corners = np.array(zone.polygon) * size - 0.5
            marks.append(Mark(corners, f"{zone.name} {value}", _COLOURS.get(state.level, WHITE)))
        for region in spots.regions:
            left, top = region.left - 1, region.top - 1
            right, bottom = region.left + region.width, region.top + region.height
            corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
            label = "" if region.value == spots.hottest.value else shown.format(region.value)
            marks.append(Mark(corners, label))
        return tuple(marks)

    def _send(self, item: tuple[Header, Spots, bool, tuple[ZoneState, ...]]) -> None:
        assert self.publisher is not None
        header, spots, in_celsius, zones = item
        message = ThermalSpots(header=header, in_celsius=in_celsius, threshold=spots.threshold)
        message.hottest, message.coldest = _spot(spots.hottest), _spot(spots.coldest)
        message.regions = [_spot(region) for region in spots.regions]
        message.zone_names = [zone.name for zone in zones]
        message.zone_levels = [int(zone.level) for zone in zones]
        message.zone_coldest = [zone.coldest for zone in zones]
        message.zone_hottest = [zone.hottest for zone in zones]
        publish_message(self.publisher, message)


def _spot(spot: Spot) -> Any:
    return ThermalSpot(**spot._asdict())
