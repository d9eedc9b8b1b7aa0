# SPDX-License-Identifier: Apache-2.0
"""Zones with temperature limits: file, levels, hysteresis."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import yaml

from fusion_ros.thermal.units import unit
from fusion_ros.thermal.zones import Zone, ZoneFileError, ZoneLevel, ZoneWatch, load_zones

LEFT = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
RIGHT = tuple((x + 0.5, y) for x, y in LEFT)
FILE = {
    "fusion_ros_zones": 1,
    "unit": "celsius",
    "zones": [
        {
            "name": "bearing",
            "polygon": [list(corner) for corner in LEFT],
            "warn_above": 60,
            "error_above": 80.5,
            "hysteresis": 2,
        }
    ],
}


def to_pixels(shares: np.ndarray) -> np.ndarray:
    return shares * (40, 30) - 0.5


def written(folder: Path, content: object) -> str:
    path = folder / "zones.yaml"
    path.write_text(yaml.safe_dump(content))
    return str(path)


def test_zone_file_is_read(tmp_path: Path) -> None:
    zones = load_zones(written(tmp_path, FILE), "centikelvin")
    assert zones == (Zone("bearing", LEFT, warn_above=60, error_above=80.5, hysteresis=2),)


@pytest.mark.parametrize(
    "change",
    [
        {"fusion_ros_zones": 2},
        {"unit": "counts"},
        {"unit": ["celsius"]},
        {"zones": []},
        {"zones": {}},
        {"zones": ["bearing"]},
        {"more": 1},
        {"m" * 10**6: 1},
        {"zones": FILE["zones"] * 2},
        *({"zones": [FILE["zones"][0] | entry]} for entry in (
            {"name": ""}, {"name": 5}, {"name": "a\nb"}, {"name": "\ud800"},
            {"polygon": [[0, 0], [1, 1]]}, {"polygon": "all"},
            {"polygon": [[0, 0], [1, 1], [2, 0]]}, {"warn_above": "hot"}, {"warn_above": True},
            {"warn_above": math.nan}, {"warn_above": 90}, {"hysteresis": -1}, {"colour": "red"},
        )),
        {"zones": [{"name": "a", "polygon": FILE["zones"][0]["polygon"]}]},
        {"zones": [FILE["zones"][0] | {"warn_below": 1, "error_below": 2}]},
    ],
)  # fmt: skip
def test_faulty_zone_file_is_refused_by_name(tmp_path: Path, change: dict) -> None:
    with pytest.raises(ZoneFileError, match=r"zones\.yaml") as caught:
        load_zones(written(tmp_path, FILE | change), "centikelvin")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000


def test_error_limits_need_no_warning_limits(tmp_path: Path) -> None:
    entry = {"name": "a", "polygon": FILE["zones"][0]["polygon"]}
    limits = {"error_above": 30, "error_below": 5}
    [zone] = load_zones(written(tmp_path, FILE | {"zones": [entry | limits]}), "celsius")
    levels = [zone.level(low, high, ZoneLevel.OK) for low, high in ((10, 20), (10, 31), (4, 20))]
    assert levels == [ZoneLevel.OK, ZoneLevel.ERROR, ZoneLevel.ERROR]


def test_zone_file_without_unit_of_the_camera_takes_counts(tmp_path: Path) -> None:
    path = written(tmp_path, FILE | {"unit": "counts"})
    assert load_zones(path, "counts")[0].warn_above == 60
    with pytest.raises(ZoneFileError, match=r"gone\.yaml"):
        load_zones(str(tmp_path / "gone.yaml"), "counts")


def test_levels_end_inside_the_limit_by_the_hysteresis() -> None:
    zone = Zone("z", LEFT, 60, 80, 0, -10, hysteresis=3)
    level, seen = ZoneLevel.OK, []
    for hottest in (59, 61, 58, 56, 85, 78, 76, 61, 50):
        level = zone.level(20, hottest, level)
        seen.append(level.name)
    assert seen == ["OK", "WARN", "WARN", "OK", "ERROR", "ERROR", "WARN", "WARN", "OK"]
    assert zone.level(-5, 20, ZoneLevel.OK) is ZoneLevel.WARN
    assert zone.level(-11, 20, ZoneLevel.OK) is ZoneLevel.ERROR
    assert zone.level(2, 20, ZoneLevel.WARN) is ZoneLevel.WARN
    shown = [zone.limits(level) for level in ZoneLevel]
    assert shown == [
        "", "above 60 or below 0, hysteresis 3", "above 80 or below -10, hysteresis 3", "",
    ]  # fmt: skip


def test_each_zone_sees_its_own_pixels_in_degrees() -> None:
    watch = ZoneWatch((Zone("left", LEFT, 60), Zone("right", RIGHT, 60, 80)))
    celsius = np.full((30, 40), 20.0, np.float32)
    celsius[10, 30], celsius[3, 35] = 85, 5
    counts = ((celsius + 273.15) * 100).astype(np.uint16)
    for frame, name in ((celsius, "celsius"), (counts, "centikelvin")):
        left, right = watch(frame, unit(name), to_pixels)
        assert (left.name, left.level) == ("left", ZoneLevel.OK)
        assert (left.coldest, left.hottest) == pytest.approx((20, 20), abs=0.01)
        assert (right.name, right.level) == ("right", ZoneLevel.ERROR)
        assert (right.coldest, right.hottest) == pytest.approx((5, 85), abs=0.01)


@pytest.mark.parametrize("where", [np.nan, 500.0])
def test_zone_outside_the_thermal_view_is_unseen(where: float) -> None:
    watch = ZoneWatch((Zone("left", LEFT, 60),))
    frame = np.full((30, 40), 99, np.uint8)
    [state] = watch(frame, None, lambda shares: to_pixels(shares) + where)
    assert state.level is ZoneLevel.UNSEEN
    assert math.isnan(state.hottest)
    watch.move()
    assert watch(frame, None, to_pixels)[0].level is ZoneLevel.WARN
    nothing = np.full((30, 40), np.nan, np.float32)
    assert watch(nothing, None, to_pixels)[0].level is ZoneLevel.UNSEEN
