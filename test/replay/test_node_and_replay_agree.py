# SPDX-License-Identifier: Apache-2.0
"""The same frames through the node's flow and through the replay: the same faults and reasons."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path

import numpy as np
import pytest
from planted_faults import (
    PERIOD_NS,
    QUIET,
    THERMAL,
    VISIBLE,
    Shot,
    replayed,
    write_bag,
)
from stand_in_engine import StandInEngine, mean
from uneven_bag import (
    PARAMETERS,
    Outcome,
    check_every_fate,
    replay_outcome,
    sha256,
    write_uneven_bag,
)
from whole_runs import quick

from fusion_ros.imaging.encodings import ChannelOrder, PixelFrame
from fusion_ros.parameters import FuseParameters
from fusion_ros.pipeline import FusionPipeline
from fusion_ros.pipeline_factory import pipeline_around
from fusion_ros.recordings.opening import open_recording
from fusion_ros.replay.settings import refuse_unsupported
from fusion_ros.streams.pairer import Pair

PATIENCE_S = 20.0


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


def through_the_node(
    bag: Path, pipeline: FusionPipeline, values: FuseParameters
) -> tuple[Outcome, set[str]]:
    """Outcome and faults seen, of the node's flow on recorded time without DDS."""
    pytest.importorskip("rclpy")
    from fusion_ros.nodes.fuse.frame_flow import FrameFlow
    from fusion_ros.nodes.fuse.fusion_lane import FusionLane
    from fusion_ros.nodes.fuse.reporting.counters import Counters

    counters, now_ns = Counters(lambda text: None), [0]
    images, pairs, faults = [], [], set()
    published = threading.Semaphore(0)

    def publish(output) -> dict:
        images.append((output.stamp_ns, sha256(output.pixels)))
        published.release()
        return {}

    recording = open_recording(bag)
    frames = list(recording.frames())
    now_ns[0] = frames[0].arrived_ns
    clock_ns = lambda: now_ns[0]  # noqa: E731
    lane = FusionLane(pipeline, values, counters, publish, clock_ns=clock_ns)
    flow = FrameFlow(lane, values, counters, ros_clock_ns=clock_ns, clock_ns=clock_ns)
    submit = lane.submit

    def submit_and_wait(job) -> None:
        """One job at a time, so that no pair is superseded."""
        submit(job)
        assert published.acquire(timeout=PATIENCE_S)
        if isinstance(job, Pair):
            pairs.append((job.visible_stamp_ns, round(job.skew_ns / 1e6, 3)))

    lane.submit = submit_and_wait
    flow.start()
    for frame in frames:
        now_ns[0] = frame.arrived_ns
        flow.take(frame.stream, "/t", bytes(frame.cdr))
        faults |= {fault.value for found in flow.faults().values() for fault in found}
    flow.stop()
    recording.close()
    alone = counters.telemetry.snapshot().passed_alone
    return Outcome(
        counts=counters.ledger.snapshot(),
        passed_alone={stream.value: n for stream, n in alone.items() if n},
        pairs=pairs,
        images=images,
    ), faults


@pytest.mark.ros
@pytest.mark.parametrize("policy", ["pass_other", "hold"])
def test_an_uneven_bag_has_the_same_pairs_fates_and_images(tmp_path, policy):
    bag = write_uneven_bag(tmp_path / "bag")
    values = FuseParameters.from_values({**PARAMETERS, "on_stream_loss": policy})
    in_replay = replay_outcome(bag, pipeline_around(StandInEngine(mean), values), values)
    in_node, _ = through_the_node(bag, pipeline_around(StandInEngine(mean), values), values)
    check_every_fate(in_replay)
    assert in_replay == in_node
    assert in_replay.passed_alone == ({"visible": 10} if policy == "pass_other" else {})


@pytest.mark.ros
@pytest.mark.parametrize(("hold_ms", "held_share"), [(-1.0, 0.5), (0.0, 0.0), (150.0, 0.6)])
def test_beside_a_slower_thermal_camera_the_same_frames_are_held(tmp_path, hold_ms, held_share):
    def every_third(n: int, shot: Shot) -> Shot | None:
        return shot if shot.topic == VISIBLE or n % 3 == 0 else None

    bag = write_bag(tmp_path / "bag", every_third, count=90)
    values = FuseParameters.from_values({"thermal_hold_ms": hold_ms})
    in_replay = replay_outcome(bag, pipeline_around(StandInEngine(mean), values), values)
    in_node, _ = through_the_node(bag, pipeline_around(StandInEngine(mean), values), values)
    assert in_replay == in_node
    visible = in_replay.counts.visible
    assert visible.fused == 30
    assert visible.held >= held_share * visible.received
    assert (visible.held == 0) is (hold_ms == 0)


@pytest.mark.ros
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_frames_have_the_same_faults_reasons_and_pairs(tmp_path, kind):
    change, faults, reasons = KINDS[kind]
    bag = write_bag(tmp_path / "bag", change, count=90)
    settings = dataclasses.replace(QUIET, frozen_after_ms=1000.0)
    result, findings, _ = replayed(bag, settings)
    in_replay = {c.fault.value for w in result.watchers.values() for _, c in w.faults}
    values = FuseParameters.from_values({"frozen_after_ms": 1000.0})
    in_node, node_faults = through_the_node(bag, FusionPipeline(StandInEngine(mean)), values)
    assert in_replay == node_faults == faults
    assert result.counts == in_node.counts
    assert set(in_node.counts.thermal.rejected_by_reason) == reasons
    assert faults <= set(findings)
    assert in_node.pairs == [(p.visible_stamp_ns, round(p.skew_ms, 3)) for p in result.log.pairs]


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
    [
        ("pairing_policy", "exact"),
        ("pairing_policy", "approximate"),
        ("thermal_offset_auto", True),
        ("on_stream_loss", "stop"),
    ],
)
def test_parameters_that_a_replay_does_not_support_are_refused(bag, tmp_path, capsys, name, value):
    with pytest.raises(ValueError, match=name):
        refuse_unsupported(FuseParameters.from_values({name: value}))
    assert quick(bag, tmp_path / "out", "--set", f"{name}={value}") == 2
    said = capsys.readouterr().err.strip()
    assert name in said
    assert len(said.splitlines()) == 1
