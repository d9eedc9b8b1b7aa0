# SPDX-License-Identifier: Apache-2.0
"""Spots, zones and overlay of a job, without DDS."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml

from fusion_ros.imaging.encodings import ChannelOrder, PixelFrame
from fusion_ros.imaging.options import OverlayOptions
from fusion_ros.nodes.fuse import thermal_spots
from fusion_ros.nodes.fuse.jobs import Output
from fusion_ros.nodes.fuse.outputs import FusedOutputs
from fusion_ros.nodes.fuse.thermal_spots import SpotsOutput
from fusion_ros.parameters import FuseParameters, ParameterError
from fusion_ros.pipeline_factory import pipeline_around
from fusion_ros.streams.intake import CheckedFrame
from fusion_ros.streams.pair_flow import FramePair
from fusion_ros.thermal.zones import ZoneLevel


class Subscribed:
    """A publisher with one subscriber, and its lane; keeps the submitted items."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.submit = self.items.append

    def get_subscription_count(self) -> int:
        return 1


def node(publisher: Subscribed) -> Any:
    return SimpleNamespace(create_lifecycle_publisher=lambda *_: publisher)


def pair(celsius: np.ndarray) -> FramePair:
    counts = np.rint((celsius + 273.15) * 100).astype(np.uint16)
    visible = np.full((48, 64, 3), 100, np.uint8)
    frames = [
        CheckedFrame(PixelFrame(pixels, order), name, 10**9, 0)
        for pixels, order, name in (
            (visible, ChannelOrder.RGB, "rgb"),
            (counts, ChannelOrder.GREY, "ir"),
        )
    ]
    return FramePair(*frames, visible_stamp_ns=10**9, thermal_stamp_ns=10**9, skew_ns=0)


@pytest.fixture
def scene() -> np.ndarray:
    celsius = np.full((24, 32), 20.0)
    celsius[8:10, 20:24] = 70
    return celsius


needs_messages = pytest.mark.skipif(
    thermal_spots.ThermalSpots is None, reason="fusion_ros/msg/ThermalSpots was not built"
)


@needs_messages
def test_spots_message_has_degrees_and_visible_pixels(scene, monkeypatch):
    values = FuseParameters(tone_unit="centikelvin", spots_mode="absolute")
    publisher = Subscribed()
    output = SpotsOutput(node(publisher), values, lambda *_: publisher)
    output.take(pair(scene), pipeline_around(None, values))
    sent: list[Any] = []
    monkeypatch.setattr(thermal_spots, "publish_message", lambda _, message: sent.append(message))
    output._send(publisher.items[0])
    [message] = sent
    assert (message.header.frame_id, message.header.stamp.sec) == ("rgb", 1)
    assert message.in_celsius
    assert message.hottest.value == pytest.approx(70, abs=0.01)
    [region] = message.regions
    # Twice as many pixels in each direction on the visible image.
    assert (region.left, region.top, region.width, region.height) == (40, 16, 8, 4)


def test_zones_are_evaluated_without_spots(scene, tmp_path):
    half = [[0.5, 0], [1, 0], [1, 1], [0.5, 1]]
    zone = {"name": "bearing", "polygon": half, "warn_above": 60, "error_above": 80}
    file = tmp_path / "zones.yaml"
    file.write_text(yaml.safe_dump({"fusion_ros_zones": 1, "unit": "celsius", "zones": [zone]}))
    values = FuseParameters(tone_unit="centikelvin", zones_file=str(file))
    publisher = Subscribed()
    output = SpotsOutput(node(publisher), values, lambda *_: publisher)
    zone, *_ = output.take(pair(scene), pipeline_around(None, values), drawn=True)[2:]
    assert zone.corners.tolist() == [[31.5, -0.5], [63.5, -0.5], [63.5, 47.5], [31.5, 47.5]]
    assert zone.label == "bearing 70.0 C"
    assert [(state.name, state.level) for state in output.zones] == [("bearing", ZoneLevel.WARN)]
    with pytest.raises(ParameterError, match=r"zones_file.*zones\.yaml"):
        SpotsOutput(node(publisher), FuseParameters(zones_file=str(file)), lambda *_: publisher)


@pytest.mark.parametrize(("unit", "shown"), [("centikelvin", "70.0 C"), ("counts", "34315")])
def test_spots_are_marks_on_the_visible_grid_if_drawn(scene, unit, shown):
    values = FuseParameters(tone_unit=unit, spots_mode="above_median", spots_limit=10.0)
    unheard = Subscribed()
    unheard.get_subscription_count = lambda: 0
    output = SpotsOutput(node(unheard), values, lambda *_: unheard)
    job, pipeline = pair(scene), pipeline_around(None, values)
    assert output.take(job, pipeline) == ()
    hottest, coldest, region = output.take(job, pipeline, drawn=True)
    assert not unheard.items
    assert hottest.corners.tolist() == [[40.5, 16.5]]
    assert coldest.corners.tolist() == [[0.5, 0.5]]
    assert region.corners.tolist() == [[39, 15], [48, 15], [48, 20], [39, 20]]
    assert (hottest.label, region.label) == (shown, "")


@pytest.mark.parametrize("unit", ["centikelvin", "counts"])
def test_overlay_gets_temperatures_where_the_unit_is_known(scene, unit):
    values = FuseParameters(tone_unit=unit)
    pipeline, job, lane = pipeline_around(None, values), pair(scene), Subscribed()
    grey = pipeline.registration(pipeline.tone(job.thermal.pixels.pixels), (48, 64))
    visible = job.visible.pixels.pixels
    output = Output(visible, ChannelOrder.RGB, 10**9, "rgb", visible, grey)
    outputs = SimpleNamespace(_overlay=lane, _overlay_lane=lane)
    FusedOutputs.publish_overlay(outputs, job, output, pipeline, OverlayOptions())
    [(passed, _, celsius, weights, _)] = lane.items
    assert passed is output
    assert weights is None
    if unit == "counts":
        assert celsius is None
    else:
        np.testing.assert_allclose(celsius, scene.repeat(2, 0).repeat(2, 1), atol=0.01)
