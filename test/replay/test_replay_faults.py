# SPDX-License-Identifier: Apache-2.0
"""Each planted fault is named by the findings, and a healthy recording has none."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from planted_faults import BEGIN_NS, PERIOD_NS, QUIET, THERMAL, VISIBLE, Shot, replayed, write_bag

from fusion_ros.imaging.encodings import ChannelOrder, PixelFrame
from fusion_ros.replay.findings import Severity
from fusion_ros.replay.settings import ReplaySettings
from fusion_ros.streams.ledger import Stream
from fusion_ros.synthetic import Scene


def thermal_only(change):
    """A change of thermal shots alone."""
    return lambda n, shot: change(n, shot) if shot.topic == THERMAL else shot


def with_pixels(shot: Shot, pixels: np.ndarray) -> Shot:
    return dataclasses.replace(shot, frame=PixelFrame(pixels, shot.frame.order))


def test_a_healthy_recording_has_no_findings(tmp_path: Path) -> None:
    result, findings, _ = replayed(write_bag(tmp_path / "bag"))
    assert findings == {}
    assert len(result.log.pairs) == 60


def test_dropped_thermal_frames_are_counted_and_located(tmp_path: Path) -> None:
    gone = {20, 21, 22, 40}
    bag = write_bag(tmp_path / "bag", thermal_only(lambda n, shot: None if n in gone else shot))
    result, findings, _ = replayed(bag)
    finding = findings["missing_thermal_frames"]
    assert finding.count == 4
    assert finding.at_s == pytest.approx((19 / 30, 39 / 30), abs=0.01)
    assert "unpaired_visible_frames" in findings
    assert result.counts.visible.unpaired == 4
    assert len(result.log.pairs) == 56


def test_stamps_that_are_80_ms_late_are_reported_with_the_offset_to_set(tmp_path: Path) -> None:
    def late(n: int, shot: Shot) -> Shot:
        return dataclasses.replace(shot, stamp_ns=shot.stamp_ns + 80_000_000)

    bag = write_bag(tmp_path / "bag", thermal_only(late), count=90)
    _, findings, evidence = replayed(bag)
    assert "80 ms" in findings["constant_offset"].title
    assert evidence.offset[0] == pytest.approx(-79, abs=2.5)
    # The advice works: with the offset set, every pair is of one moment again.
    settings = ReplaySettings(
        thermal_offset_ns=-80_000_000, measures=("qw",), baselines=(), measure_in_background=False
    )
    result, findings, _ = replayed(bag, settings)
    assert "constant_offset" not in findings
    assert all(p.visible_index == p.thermal_index for p in result.log.pairs)


def test_a_looped_bag_is_reported_and_its_second_loop_is_paired(tmp_path: Path) -> None:
    def again(n: int, shot: Shot) -> Shot:
        back = 30 * PERIOD_NS if n >= 30 else 0
        return dataclasses.replace(shot, stamp_ns=shot.stamp_ns - back)

    result, findings, _ = replayed(write_bag(tmp_path / "bag", again))
    assert findings["time_jumped_back"].count == 1
    assert findings["time_jumped_back"].at_s[0] == pytest.approx(1.0, abs=0.01)
    assert len(result.log.pairs) >= 58


def test_a_gain_jump_of_ten_grey_levels_is_reported_with_its_frame(tmp_path: Path) -> None:
    def brighter(n: int, shot: Shot) -> Shot:
        add = 10 if n >= 33 else 0
        return with_pixels(shot, np.clip(shot.frame.pixels.astype(int) + add, 0, 255).astype("u1"))

    _, findings, evidence = replayed(write_bag(tmp_path / "bag", thermal_only(brighter)))
    assert findings["gain_jump"].count == 1
    jumps = [(f.index, f.jump) for f in evidence.frames[Stream.THERMAL] if f.jump]
    assert jumps == [(33, pytest.approx(10, abs=1))]


def test_swapped_topics_are_found_by_their_colours(tmp_path: Path) -> None:
    def swapped(n: int, shot: Shot) -> Shot:
        return dataclasses.replace(shot, topic=THERMAL if shot.topic == VISIBLE else VISIBLE)

    _, findings, _ = replayed(write_bag(tmp_path / "bag", swapped))
    assert "shows colours" in findings["swapped_topics"].detail


def test_sixteen_bit_frames_on_the_visible_topic_are_reported_as_swapped(tmp_path: Path) -> None:
    def swapped(n: int, shot: Shot) -> Shot:
        if shot.topic == VISIBLE:
            return dataclasses.replace(shot, topic=THERMAL)
        deep = PixelFrame(shot.frame.pixels.astype(np.uint16) * 30 + 7000, ChannelOrder.GREY)
        return dataclasses.replace(shot, topic=VISIBLE, frame=deep)

    result, findings, _ = replayed(write_bag(tmp_path / "bag", swapped))
    assert "swapped_topics" in findings
    assert dict(result.counts.visible.rejected_by_reason) == {"not_8_bit": 60}


@pytest.mark.parametrize(("unit", "found"), [("celsius", False), ("centikelvin", True)])
def test_a_wrong_unit_is_reported(tmp_path: Path, unit: str, found: bool) -> None:
    _, findings, _ = replayed(write_bag(tmp_path / "bag", count=12), unit=unit)
    assert ("implausible_temperatures" in findings) is found
    if found:
        finding = findings["implausible_temperatures"]
        assert (finding.severity, finding.count) == (Severity.WARNING, 12)


@pytest.mark.parametrize("encoding", ["rgb8", "yuv_of_nobody", "32FC1"])
def test_thermal_frames_with_a_wrong_encoding_are_reported(tmp_path: Path, encoding: str) -> None:
    def named(n: int, shot: Shot) -> Shot:
        return dataclasses.replace(shot, encoding=encoding)

    result, findings, _ = replayed(write_bag(tmp_path / "bag", thermal_only(named)))
    assert findings["wrong_encoding"].count == 60
    assert result.counts.thermal.rejected == 60


def test_sixteen_bit_pixels_with_encoding_mono8_are_reported(tmp_path: Path) -> None:
    def named(n: int, shot: Shot) -> Shot:
        deep = PixelFrame(shot.frame.pixels.astype(np.uint16) * 30 + 7000, ChannelOrder.GREY)
        return dataclasses.replace(shot, frame=deep, encoding="mono8")

    _, findings, _ = replayed(write_bag(tmp_path / "bag", thermal_only(named)))
    assert "twice as long" in findings["wrong_encoding"].title


def test_a_bag_folder_without_metadata_is_reported_and_read(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag")
    (bag / "metadata.yaml").unlink()
    result, findings, _ = replayed(bag)
    assert set(findings) == {"unfinished_recording"}
    assert findings["unfinished_recording"].severity is Severity.WARNING
    assert len(result.log.pairs) == 60


def test_zero_stamps_are_reported_with_the_option_for_them(tmp_path: Path) -> None:
    bag = write_bag(
        tmp_path / "bag", thermal_only(lambda n, shot: dataclasses.replace(shot, stamp_ns=0))
    )
    _, findings, _ = replayed(bag)
    assert "--stamp-source arrival" in findings["zero_stamps"].fix
    settings = ReplaySettings(stamp_source="arrival", measures=(), measure_in_background=False)
    result, _, _ = replayed(bag, settings)
    assert len(result.log.pairs) == 60


def test_a_frozen_thermal_camera_is_reported(tmp_path: Path) -> None:
    first: list[Shot] = []

    def frozen(n: int, shot: Shot) -> Shot:
        if n == 30:
            first.append(shot)
        return with_pixels(shot, first[0].frame.pixels) if 30 < n < 50 else shot

    _, findings, _ = replayed(write_bag(tmp_path / "bag", thermal_only(frozen)))
    assert findings["repeated_frames"].count == 19


def test_doubled_messages_are_counted_as_duplicates(tmp_path: Path) -> None:
    def doubled(n: int, shot: Shot) -> Shot:
        return dataclasses.replace(shot, stamp_ns=BEGIN_NS + (n - n % 2) * PERIOD_NS)

    result, findings, evidence = replayed(write_bag(tmp_path / "bag", doubled))
    assert "duplicate_frames" in findings
    fates = [f.fate.value for f in evidence.frames[Stream.THERMAL]]
    assert fates.count("duplicate") == result.counts.thermal.duplicate == 30


def test_a_shifted_thermal_image_is_reported_with_its_shift(tmp_path: Path) -> None:
    street = Scene(320, 240, seed=7)

    def beside(n: int, shot: Shot) -> Shot:
        if shot.topic == VISIBLE:
            return with_pixels(shot, street.visible(n / 30))
        # 16 bit, so that the node's tone mapping shows it as it shows any camera's.
        return with_pixels(shot, np.roll(street.thermal(n / 30), 10, axis=1))

    bag = write_bag(tmp_path / "bag", beside, count=40)
    settings = dataclasses.replace(QUIET, quality_every=4)
    _, findings, _ = replayed(bag, settings)
    assert "+10 px, +0 px" in findings["misaligned"].title
    straight = write_bag(
        tmp_path / "straight",
        lambda n, shot: with_pixels(
            shot, (street.visible if shot.topic == VISIBLE else street.thermal)(n / 30)
        ),
        count=40,
    )
    assert "misaligned" not in replayed(straight, settings)[1]
