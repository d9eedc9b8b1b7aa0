# SPDX-License-Identifier: Apache-2.0
"""`thermal/spots`, zones in /diagnostics and overlay modes over DDS."""

from __future__ import annotations

import math
import threading

import numpy as np
import pytest
import yaml
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from rig import Rig
from sensor_msgs.msg import Image

from fusion_ros.nodes.fuse.reporting import diagnostics as reporting

messages = pytest.importorskip("fusion_ros.msg")
if not hasattr(messages, "ThermalSpots"):
    pytest.skip("fusion_ros/msg/ThermalSpots was not built", allow_module_level=True)

pytestmark = pytest.mark.ros

OK, WARN, ERROR = b"\x00", b"\x01", b"\x02"


def kelvin(celsius: float, spot: float | None = None) -> np.ndarray:
    """Return 24x32 counts in centikelvin; `spot` is the temperature at columns 20 to 23."""
    frame = np.full((24, 32), celsius)
    if spot is not None:
        frame[8:10, 20:24] = spot
    return np.rint((frame + 273.15) * 100).astype(np.uint16)


def subscribed(rig: Rig, kind: type, topic: str) -> list:
    kept: list = []
    rig.listener.create_subscription(kind, topic, kept.append, QoSProfile(depth=50))
    rig.ros.spin_until(
        lambda: (
            rig.node.count_subscribers(topic) == 1 and rig.listener.count_publishers(topic) == 1
        ),
        f"{topic} is connected",
    )
    return kept


def zones_file(folder, **limits: float) -> str:
    half = [[0.5, 0.0], [1.0, 0.0], [1.0, 1.0], [0.5, 1.0]]
    zone = {"name": "bearing", "polygon": half, **limits}
    path = folder / "zones.yaml"
    path.write_text(yaml.safe_dump({"fusion_ros_zones": 1, "unit": "celsius", "zones": [zone]}))
    return str(path)


def test_spots_have_degrees_and_pixels_of_the_visible_image(ros):
    rig = Rig(ros, {"tone_unit": "centikelvin", "spots_mode": "absolute", "spots_limit": 50.0})
    spots = subscribed(rig, messages.ThermalSpots, "thermal/spots")

    def send(stamp_ms: float) -> None:
        rig.send_visible(stamp_ms)
        rig.send_thermal(stamp_ms + 2, kelvin(20.0, 70.0))

    # The publisher may be matched with its subscriber later than the graph shows it.
    rig.send_until(send, lambda: bool(spots), "spots came")
    message = spots[0]
    assert message.header in [image.header for image in rig.fused]
    assert message.in_celsius
    assert message.threshold == 50.0
    assert message.hottest.value == pytest.approx(70.0, abs=0.01)
    assert message.coldest.value == pytest.approx(20.0, abs=0.01)
    [region] = message.regions
    # Twice as many pixels in each direction on the visible image.
    assert (region.left, region.top, region.width, region.height) == (40, 16, 8, 4)
    assert region.area_px == 8
    assert region.left <= region.x < region.left + region.width
    assert list(message.zone_names) == []


def test_without_spots_mode_there_is_no_topic(ros):
    rig = Rig(ros)
    assert rig.listener.count_publishers("thermal/spots") == 0


def test_zone_raises_diagnostics_without_a_subscriber_of_spots(ros, tmp_path):
    path = zones_file(tmp_path, warn_above=50.0, error_above=80.0, hysteresis=5.0)
    rig = Rig(ros, {"tone_unit": "centikelvin", "zones_file": path})
    hot = {"celsius": 20.0}

    def send(stamp_ms: float) -> None:
        rig.send_visible(stamp_ms)
        rig.send_thermal(stamp_ms, kelvin(20.0, hot["celsius"]))

    def level() -> bytes | None:
        entries = [s for a in rig.diagnostics for s in a.status if s.name.endswith(": zones")]
        return entries[-1].level if entries else None

    for celsius, expected in ((20.0, OK), (60.0, WARN), (47.0, WARN), (44.0, OK), (90.0, ERROR)):
        hot["celsius"] = celsius
        rig.diagnostics.clear()
        rig.send_until(send, lambda e=expected: level() == e, f"{celsius} degrees: {expected!r}")
    spots = subscribed(rig, messages.ThermalSpots, "thermal/spots")
    rig.send_until(send, lambda: bool(spots), "spots came")
    assert list(spots[-1].zone_names) == ["bearing"]
    assert spots[-1].zone_levels[0] == messages.ThermalSpots.ERROR
    assert spots[-1].zone_hottest[0] == pytest.approx(90.0, abs=0.01)
    assert math.isnan(spots[-1].threshold)


def test_zones_that_are_no_longer_evaluated_are_an_error(ros, tmp_path, monkeypatch):
    monkeypatch.setattr(reporting, "ZONES_STALE_S", 0.2)
    path = zones_file(tmp_path, warn_above=50.0)
    values = {"tone_unit": "centikelvin", "zones_file": path, "stream_timeout_ms": 200.0}
    rig = Rig(ros, {**values, "lazy": True})

    def send(stamp_ms: float) -> None:
        rig.send_visible(stamp_ms)
        rig.send_thermal(stamp_ms, kelvin(20.0, 20.0))

    def zones() -> tuple[bytes, str]:
        entries = [s for a in rig.diagnostics for s in a.status if s.name.endswith(": zones")]
        return (entries[-1].level, entries[-1].message) if entries else (b"", "")

    rig.send_until(send, lambda: "within" in zones()[1], "the zones were evaluated")
    [result] = rig.node.set_parameters([Parameter("tone_unit", value="counts")])
    assert not result.successful
    assert "zones_file" in result.reason
    assert rig.node.parameters.current.tone_unit == "centikelvin"
    rig.ros.spin_until(lambda: zones()[0] == ERROR, lambda: f"zones are stale: {zones()}")
    assert "not evaluated" in zones()[1]


def test_faulty_zone_file_refuses_to_configure_and_leaves_no_thread(ros, tmp_path):
    zones = zones_file(tmp_path, warn_above=50.0)
    values = {"zones_file": zones, "trace_file": str(tmp_path / "trace.csv")}
    rig = Rig(ros, values, activate=False)
    # The file is in degrees, and the camera has no unit.
    assert rig.node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert "trace" not in {thread.name for thread in threading.enumerate()}


def test_overlay_isotherm_shows_pixels_above_its_limit(ros):
    rig = Rig(
        ros,
        {
            "tone_unit": "centikelvin",
            "overlay_mode": "isotherm",
            "overlay_isotherm_celsius": 60.0,
            "overlay_opacity": 1.0,
            "overlay_scale_bar": False,
        },
    )
    overlays = subscribed(rig, Image, "fused/overlay")

    def send(stamp_ms: float) -> None:
        rig.send_visible(stamp_ms)
        rig.send_thermal(stamp_ms, kelvin(20.0, 70.0))

    rig.send_until(send, lambda: bool(overlays), "an overlay came")
    image = np.frombuffer(overlays[0].data, np.uint8).reshape(48, 64, 3)
    changed = (image != 100).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (16, 19, 40, 47)
