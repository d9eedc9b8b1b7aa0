# SPDX-License-Identifier: Apache-2.0
"""Whole runs: the same twice, counts that equal the bag's, a report that opens anywhere."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from planted_faults import QUIET, replayed, write_bag
from stand_in_engine import StandInEngine, mean
from whole_runs import quick, read, run

from fusion_ros.cli.main import main
from fusion_ros.metrics import excess_flicker, flicker_index, qw
from fusion_ros.metrics.flicker import change_ratio
from fusion_ros.pipeline import FusionPipeline
from fusion_ros.recordings.opening import open_recording
from fusion_ros.replay.findings import Evidence, Finding, Severity
from fusion_ros.replay.gate import Verdict
from fusion_ros.replay.job import Job
from fusion_ros.replay.report import Material, write_report
from fusion_ros.replay.run import FusedSink, Replay
from fusion_ros.replay.summary import summarise
from fusion_ros.streams.ledger import Fate, Stream


class Collector(FusedSink):
    """Keeps the images of every pair."""

    def __init__(self) -> None:
        self.images: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def take(self, entry, visible, thermal, fused) -> None:
        self.images.append((visible.copy(), thermal.copy(), fused.copy()))


def test_two_runs_with_the_real_network_give_the_same_bytes(two_runs) -> None:
    first, second = two_runs
    assert (first / "times.csv").is_file()
    for name in ("frames.csv", "pairs.csv"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    summaries = [read(folder) for folder in two_runs]
    for summary in summaries:
        del summary["times"], summary["machine"]
    assert summaries[0] == summaries[1]
    assert summaries[0]["output"]["frames"] == 24


def test_the_counts_add_up_and_equal_the_recordings(two_runs) -> None:
    summary = read(two_runs[0])
    for stream in Stream:
        counts = summary["counts"][stream.value]
        assert summary["recorded"][stream.value] == counts["received"] == 24
        assert sum(counts[fate.value] for fate in Fate) == 24
    with (two_runs[0] / "frames.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 48
    assert {row["fate"] for row in rows} == {"fused"}


def test_the_report_opens_without_any_network(two_runs) -> None:
    page = (two_runs[0] / "report.html").read_text(encoding="utf-8")
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    assert "<img" in page


def test_a_report_shows_each_answer_with_a_command_that_names_the_recording(
    bag: Path, tmp_path: Path
) -> None:
    _, found, evidence = replayed(bag)
    assert found == {}  # the mean of both images, of a healthy bag
    offset = Finding("constant_offset", Severity.ERROR, "late", "", "",
                     parameters={"thermal_offset_ms": -80.0})  # fmt: skip
    summary = summarise(evidence, [offset], StandInEngine(mean).describe())
    assert summary["rig"]["verdict"] == summary["rig"]["time"] == "not usable"
    material = Material(summary, evidence)
    page = write_report(tmp_path, material, Verdict("no gate"), Job("a.mcap", "r"))
    text = page.read_text(encoding="utf-8")
    assert "rig: not usable</span>" in text
    command = "fusion-ros replay a.mcap --set thermal_offset_ms=-80.0 --out r-next --compare r"
    assert f"<pre>{command}</pre>" in text
    assert "ros__parameters:\n    thermal_offset_ms: -80.0" in text


def test_a_healthy_bag_with_the_real_network_has_no_findings_but_flicker(two_runs) -> None:
    # Each frame has noise of its own; whether a network amplifies it is its weights' doing.
    assert {f["code"] for f in read(two_runs[0])["findings"]} <= {"flicker"}


def test_names_of_bags_are_escaped_in_the_report(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "<script>alert(1)<", count=6)
    _, _, evidence = replayed(path)
    summary = summarise(evidence, [], StandInEngine(mean).describe())
    material = Material(summary, evidence)
    report = write_report(tmp_path, material, Verdict("no gate"), Job(str(path), "out"))
    assert "<script>alert" not in report.read_text(encoding="utf-8")


def test_flicker_and_quality_are_the_metrics_own(bag: Path, tmp_path: Path) -> None:
    recording = open_recording(bag)
    collector = Collector()
    pipeline = FusionPipeline(StandInEngine(mean))
    result = Replay(recording, pipeline, QUIET, (collector,)).run()
    recording.close()
    from fusion_ros.imaging.colour import luma

    stacks = [
        torch.from_numpy(
            np.stack([luma(p[i]) if p[i].ndim == 3 else p[i] for p in collector.images])
        )[:, None].float()
        / 255
        for i in range(3)
    ]
    evidence = Evidence(recording.identity, recording.damage, result, QUIET)
    found = summarise(evidence, [], StandInEngine(mean).describe())["temporal"]
    assert found["flicker_index"] == pytest.approx(float(flicker_index(*stacks)), rel=1e-3)
    assert found["change_ratio"] == pytest.approx(float(change_ratio(*stacks)), rel=1e-3)
    excess = float(excess_flicker(*stacks))
    assert found["excess_flicker"]["mean"] == pytest.approx(excess, abs=1e-3)
    first = result.log.pairs[0]
    values = qw(*(stack[:1] for stack in stacks))
    assert first.quality["fused"]["qw"] == pytest.approx(float(values[0]), rel=1e-5)


def test_measuring_in_the_background_gives_the_same_values(bag: Path) -> None:
    from dataclasses import replace

    here, _, _ = replayed(bag, replace(QUIET, quality_every=4))
    aside, _, _ = replayed(bag, replace(QUIET, quality_every=4, measure_in_background=True))
    assert [p.quality for p in here.log.pairs] == [p.quality for p in aside.log.pairs]


def test_ctrl_c_leaves_a_partial_run_whose_counts_reconcile(bag: Path, tmp_path: Path) -> None:
    recording = open_recording(bag)

    def stop(done: int) -> None:
        if done == 21:
            raise KeyboardInterrupt

    result = Replay(recording, FusionPipeline(StandInEngine(mean)), QUIET).run(stop)
    recording.close()
    assert not result.complete
    assert result.counts.visible.pending == result.counts.thermal.pending == 0
    assert result.counts.visible.received + result.counts.thermal.received == 21


def test_fused_images_are_written_to_a_bag_with_the_visible_stamps(
    bag: Path, tmp_path: Path
) -> None:
    assert quick(bag, tmp_path, "--no-report", "--fused-bag", "--fused-video") == 0
    from rosbags.highlevel import AnyReader

    with AnyReader([tmp_path / "fused_bag"]) as reader:
        messages = [reader.deserialize(raw, c.msgtype) for c, _, raw in reader.messages()]
    with (tmp_path / "pairs.csv").open(encoding="utf-8") as file:
        stamps = [int(row["visible_stamp_ns"]) for row in csv.DictReader(file)]
    found = [m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for m in messages]
    assert found == stamps
    assert messages[0].encoding == "rgb8"
    assert (tmp_path / "fused.mp4").stat().st_size > 1000


def test_a_replay_that_cannot_run_exits_with_2(tmp_path: Path, capsys) -> None:
    assert run(tmp_path / "none", "--out", tmp_path / "out") == 2
    assert str(tmp_path / "none") in capsys.readouterr().err
    assert run(tmp_path, "--set", "pairing_tolerance_ms=-1", "--out", tmp_path / "out") == 2
    assert "pairing_tolerance_ms" in capsys.readouterr().err


def test_a_bag_recorded_from_images_replays_completely(tmp_path: Path, capsys) -> None:
    import cv2

    for folder in ("rgb", "thermal"):
        (tmp_path / "clip" / folder).mkdir(parents=True)
        for n in range(4):
            image = np.full((48, 64, 3 if folder == "rgb" else 1), 40 * n, np.uint8)
            cv2.imwrite(str(tmp_path / "clip" / folder / f"{n}.png"), image)
    assert main(["record", str(tmp_path / "clip"), str(tmp_path / "bag")]) == 0
    result, _, evidence = replayed(tmp_path / "bag")
    assert [evidence.identity.messages(stream) for stream in Stream] == [4, 4]
    assert len(result.log.pairs) == 4
    assert main(["record", str(tmp_path / "clip"), str(tmp_path / "bag")]) == 2
    assert str(tmp_path / "bag") in capsys.readouterr().err


def test_a_real_clip_replays_whole_and_twice_the_same(shared_data: Path, tmp_path: Path) -> None:
    clip = shared_data / "m3svd_seq" / "0114_1551"
    assert main(["record", str(clip), str(tmp_path / "bag")]) == 0
    outs = [tmp_path / "a", tmp_path / "b"]
    for out in outs:
        more = ("--max-messages", 12, "--every", 6, "--measures", "qw")
        assert run(tmp_path / "bag", "--out", out, "--no-report", *more) == 0
    assert read(outs[0])["output"] == read(outs[1])["output"]
    assert read(outs[0])["output"]["frames"] == 6
