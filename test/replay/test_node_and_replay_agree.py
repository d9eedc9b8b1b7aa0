# SPDX-License-Identifier: Apache-2.0
"""The same frames through the node's flow and through the replay: the same faults and reasons."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from planted_faults import PERIOD_NS, QUIET, THERMAL, VISIBLE, Shot, replayed, write_bag
from whole_runs import quick

from fusion_ros.imaging.encodings import ChannelOrder, PixelFrame
from fusion_ros.parameters import FuseParameters
from fusion_ros.recordings.opening import open_recording
from fusion_ros.replay.settings import refuse_unsupported
from fusion_ros.streams.ledger import Stream


def thermal(change):
    return lambda n, shot: change(n, shot) if shot.topic == THERMAL else shot


def pixels(shot: Shot, array: np.ndarray, encoding: str | None = None) -> Shot:
    order = ChannelOrder.GREY if array.ndim == 2 else ChannelOrder.RGB
    return dataclasses.replace(
        shot, frame=PixelFrame(np.ascontiguousarray(array), order), encoding=encoding
    )


def counts(shot: Shot) -> np.ndarray:
    return shot.frame.pixels.astype(np.uint16) * 20 + 7000


def colours(shot: Shot) -> np.ndarray:
    grey = shot.frame.pixels
    return np.dstack([grey, 255 - grey, grey // 2])


def held(n: int, shot: Shot) -> Shot:
    """A robot that drives, with a thermal camera that is stuck."""
    if shot.topic == VISIBLE:
        return pixels(shot, np.roll(shot.frame.pixels, 4 * n, axis=1))
    rng = np.random.default_rng(0)
    return pixels(shot, rng.integers(7000, 9000, shot.frame.pixels.shape).astype(np.uint16))


KINDS = {
    "healthy": (lambda n, shot: shot, set(), set()),
    "swapped bytes": (
        thermal(lambda n, shot: pixels(shot, counts(shot).byteswap(), "mono16")),
        {"wrong_byte_order"},
        set(),
    ),
    "wide rows": (
        thermal(lambda n, shot: pixels(shot, counts(shot), "mono8")),
        {"wrong_encoding"},
        set(),
    ),
    "false colours": (
        thermal(lambda n, shot: pixels(shot, colours(shot))),
        {"thermal_shows_colours"},
        set(),
    ),
    "frozen": (held, set(), {"frozen"}),
    "unknown encoding": (
        thermal(lambda n, shot: dataclasses.replace(shot, encoding="nonsense")),
        set(),
        {"unknown_encoding"},
    ),
    "cut rows": (
        thermal(lambda n, shot: dataclasses.replace(shot, encoding="rgb8")),
        set(),
        {"bad_step"},
    ),
    "no stamps": (
        thermal(lambda n, shot: dataclasses.replace(shot, stamp_ns=0)),
        set(),
        {"zero_stamp"},
    ),
}


def through_the_node(bag: Path, **parameters) -> tuple[dict, set[str], list]:
    """Thermal reasons, faults seen and pairs (by stamps), of the node's flow on recorded time."""
    pytest.importorskip("rclpy")
    from fusion_ros.nodes.fuse.frame_reader import FrameReader

    from fusion_ros.nodes.fuse.reporting.counters import Books
    from fusion_ros.nodes.runtime.wire import read_image
    from fusion_ros.streams.pairer import FramePairer
    from fusion_ros.streams.repeated_events import RepeatedEvents

    books = Books.open(lambda text: None)
    reader = FrameReader(
        FuseParameters.from_values(parameters),
        books,
        ros_clock_ns=lambda: 0,
        tell=RepeatedEvents(lambda text: None),
    )
    pairer = FramePairer(tolerance_ns=20_000_000, ledger=books.ledger)
    faults: set[str] = set()
    pairs = []
    recording = open_recording(bag)
    for frame in recording.frames():
        checked = reader.read(frame.stream, "/t", bytes(frame.cdr), read_image, frame.arrived_ns)
        reader.examine(frame.arrived_ns)
        faults |= {fault.value for found in reader.faults().values() for fault in found}
        if checked is not None:
            visible = frame.stream is Stream.VISIBLE
            add = pairer.add_visible if visible else pairer.add_thermal
            pairs += add(checked.stamp_ns, checked)
    pairs += pairer.flush()
    recording.close()
    reasons = dict(books.ledger.snapshot().thermal.rejected_by_reason)
    return reasons, faults, [(p.visible_stamp_ns, p.thermal_stamp_ns) for p in pairs]


@pytest.mark.ros
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_frames_have_the_same_faults_reasons_and_pairs(tmp_path, kind):
    change, faults, reasons = KINDS[kind]
    bag = write_bag(tmp_path / "bag", change, count=90)
    settings = dataclasses.replace(QUIET, frozen_after_ms=1000.0)
    result, findings, evidence = replayed(bag, settings)
    in_replay = {c.fault.value for w in result.watchers.values() for _, c in w.faults}
    node_reasons, node_faults, node_pairs = through_the_node(bag, frozen_after_ms=1000.0)
    assert in_replay == node_faults == faults
    assert set(node_reasons) == reasons
    assert dict(result.counts.thermal.rejected_by_reason) == node_reasons
    assert faults <= set(findings)
    stamps = {stream: {f.index: f.stamp_ns for f in evidence.frames[stream]} for stream in Stream}
    assert node_pairs == [
        (stamps[Stream.VISIBLE][p.visible_index], stamps[Stream.THERMAL][p.thermal_index])
        for p in result.log.pairs
    ]


def test_a_frozen_camera_is_found_after_the_time_of_the_parameter(tmp_path):
    bag = write_bag(tmp_path / "bag", held, count=90)
    result, findings, _ = replayed(bag, dataclasses.replace(QUIET, frozen_after_ms=1000.0))
    first = min(f.index for f in result.log.frames if f.reason == "frozen")
    assert 1000.0 <= first * PERIOD_NS / 1e6 <= 1400.0
    assert "frozen" in findings
    result, _, _ = replayed(bag, dataclasses.replace(QUIET, frozen_after_ms=0.0))
    assert result.counts.thermal.rejected == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [("pairing_policy", "exact"), ("pairing_policy", "approximate"), ("on_stream_loss", "stop")],
)
def test_what_a_replay_cannot_follow_is_refused_by_name(bag, tmp_path, capsys, name, value):
    with pytest.raises(ValueError, match=name):
        refuse_unsupported(FuseParameters.from_values({name: value}))
    assert quick(bag, tmp_path / "out", "--set", f"{name}={value}") == 2
    said = capsys.readouterr().err.strip()
    assert name in said
    assert len(said.splitlines()) == 1
