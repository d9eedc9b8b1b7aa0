# SPDX-License-Identifier: Apache-2.0
"""No command reports success over data that it did not read; from the command line."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest
from planted_faults import THERMAL, VISIBLE, replayed, shots, write_bag
from whole_runs import quick, read

pytest.importorskip("rosbags")

from fusion_ros.cli.main import main
from fusion_ros.recordings.opening import open_recording
from fusion_ros.recordings.sampled_pairs import recorded_pairs
from fusion_ros.replay.findings import Severity
from fusion_ros.replay.findings.codes import INCOMPLETE
from fusion_ros.replay.live.messages import reading_findings
from fusion_ros.streams.ledger import Stream

FRAMES = 12
ANY_GATE = "limits:\n  fused: {min: 1}\n"


def with_zeros(bag: Path, folder: Path) -> Path:
    """The bag's file with a block of zeros over the head of a message, as a power cut leaves it."""
    (file,) = bag.glob("*.mcap")
    data = bytearray(file.read_bytes())
    at = data.index(b"rgb8", 50_000) - 2000
    data[at : at + 4096] = bytes(4096)
    folder.mkdir()
    (folder / "hole.mcap").write_bytes(data)
    return folder / "hole.mcap"


def clip(folder: Path) -> Path:
    for name in ("vis", "ir"):
        (folder / name).mkdir(parents=True)
    for n, shot in enumerate(shots(FRAMES)):
        name = "vis" if shot.topic == VISIBLE else "ir"
        cv2.imwrite(str(folder / name / f"{n // 2:04d}.png"), shot.frame.pixels)
    return folder


def video(path: Path, topic: str, count: int) -> Path:
    """Motion JPEG, of which single frames can be spoiled."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 30, (96, 72))
    for shot in shots(count):
        if shot.topic == topic:
            pixels = shot.frame.pixels
            writer.write(pixels if pixels.ndim == 3 else cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR))
    writer.release()
    return path


@pytest.mark.parametrize(
    ("gate", "code"),
    [
        (None, 2),
        (ANY_GATE, 1),
        (ANY_GATE + "expect: [damaged_file]\n", 1),
        (ANY_GATE + "expect: [damaged_file, missing_messages]\n", 0),
    ],
)
def test_a_zeroed_block_fails_the_run_unless_a_gate_expects_it(
    gate: str | None, code: int, tmp_path: Path
) -> None:
    bag = write_bag(tmp_path / "bag", count=FRAMES)
    hole = with_zeros(bag, tmp_path / "holes")
    more: list[object] = ["--no-report"]
    if gate is not None:
        (tmp_path / "gate.yaml").write_text(gate, encoding="utf-8")
        more += ["--gate", tmp_path / "gate.yaml"]
    assert quick(hole, tmp_path / "out", *more) == code
    summary = read(tmp_path / "out")
    found = {f["code"]: f for f in summary["findings"]}
    lost = 2 * FRAMES - sum(c["received"] for c in summary["counts"].values())
    assert found["damaged_file"]["severity"] == "error"
    assert found["missing_messages"]["count"] == lost > 0
    assert summary["recorded"] == {"visible": FRAMES, "thermal": FRAMES}
    assert summary["fused_share"] == pytest.approx(summary["fused"] / FRAMES, abs=1e-5)
    assert summary["fused"] < FRAMES


def test_changed_pixels_in_our_bags_are_found_by_checksums(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", count=FRAMES)
    (file,) = bag.glob("*.mcap")
    data = bytearray(file.read_bytes())
    data[50_000] ^= 0x40
    file.write_bytes(data)
    result, findings, _ = replayed(bag)
    assert len(result.log.pairs) == FRAMES
    assert set(findings) == {"damaged_file"}


def test_a_run_that_stops_early_by_request_is_not_incomplete(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", count=FRAMES)
    assert quick(bag, tmp_path / "out", "--no-report", "--max-messages", 10) == 0
    codes = {f["code"] for f in read(tmp_path / "out")["findings"]}
    assert "partial" in codes
    assert not codes & INCOMPLETE


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", None])
def test_an_image_that_cannot_be_decoded_fails_the_run(
    content: bytes | None, tmp_path: Path
) -> None:
    folder = clip(tmp_path / "clip")
    bad = folder / "ir" / "0003.png"
    bad.write_bytes(bad.read_bytes()[:200] if content is None else content)
    assert quick(folder, tmp_path / "out", "--no-report") == 2
    summary = read(tmp_path / "out")
    assert summary["fused"] == FRAMES - 1
    assert summary["counts"]["thermal"]["rejected"] == 1


def test_video_frames_that_cannot_be_decoded_are_counted(tmp_path: Path) -> None:
    for topic, name in ((VISIBLE, "a_vis.avi"), (THERMAL, "a_ir.avi")):
        video(tmp_path / name, topic, 30)
    file = tmp_path / "a_ir.avi"
    data = bytearray(file.read_bytes())
    del data[len(data) * 2 // 3 :]
    file.write_bytes(data)
    _, findings, evidence = replayed(tmp_path / "a_vis.avi")
    received = len(evidence.frames[Stream.THERMAL])
    recorded = evidence.identity.messages(Stream.THERMAL)
    assert recorded is not None
    if received < recorded:
        assert findings["missing_messages"].severity is Severity.ERROR
        assert findings["missing_messages"].count == recorded - received
    else:  # FFmpeg counted the frames that are there: the two videos differ in length
        assert "doubtful_pairing" in findings


def test_record_reports_missing_parts_of_the_source(tmp_path: Path) -> None:
    folder = clip(tmp_path / "clip")
    assert main(["record", str(folder), str(tmp_path / "whole")]) == 0
    (folder / "vis" / "0002.png").write_bytes(b"")
    assert main(["record", str(folder), str(tmp_path / "part")]) == 1
    hole = with_zeros(write_bag(tmp_path / "bag", count=FRAMES), tmp_path / "holes")
    assert main(["record", str(hole), str(tmp_path / "copy")]) == 1
    recording = open_recording(tmp_path / "copy")
    assert sum(1 for _ in recording.frames()) < 2 * FRAMES
    assert recording.damage == []
    recording.close()


def test_sampled_pairs_report_damage(tmp_path: Path) -> None:
    hole = with_zeros(write_bag(tmp_path / "bag", count=FRAMES), tmp_path / "holes")
    told: list[str] = []
    pairs = list(recorded_pairs(hole, report=told.append))
    assert 0 < len(pairs) < FRAMES
    assert any("hole.mcap" in line for line in told)


def test_a_live_replay_reports_the_same(tmp_path: Path) -> None:
    hole = with_zeros(write_bag(tmp_path / "bag", count=FRAMES), tmp_path / "holes")
    recording = open_recording(hole)
    list(recording.frames())
    recording.close()
    found = list(reading_findings(recording.damage, 2))
    assert {f.code for f in found} == {"damaged_file", "missing_messages", "damaged_messages"}
    assert {f.severity.value for f in found} == {"error"}


def test_a_thermal_hole_of_whole_frames_shows_in_the_share(tmp_path: Path) -> None:
    """fused_share refers to the recorded frames, so a limit on it fails for lost messages."""
    bag = write_bag(tmp_path / "bag", count=FRAMES)
    text = (bag / "metadata.yaml").read_text(encoding="utf-8")
    text = text.replace(f"message_count: {FRAMES}\n", f"message_count: {2 * FRAMES}\n")
    (bag / "metadata.yaml").write_text(text, encoding="utf-8")
    assert quick(bag, tmp_path / "out", "--no-report") == 2
    assert read(tmp_path / "out")["fused_share"] == 0.5
