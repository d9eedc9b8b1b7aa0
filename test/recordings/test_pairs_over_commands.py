# SPDX-License-Identifier: Apache-2.0
"""All commands pair the same files in the same way, and report doubtful pairs."""

from __future__ import annotations

import os
import re
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from stand_in_engine import StandInEngine

from fusion_ros import pipeline_factory as pipeline_making
from fusion_ros.cli.main import main
from fusion_ros.imaging.encodings import ChannelOrder, PixelFrame
from fusion_ros.imaging.pair_check import PairDoubt, input_doubts
from fusion_ros.pipeline import FusionPipeline
from fusion_ros.recordings.matching import Matching
from fusion_ros.recordings.opening import open_recording
from fusion_ros.recordings.sampled_pairs import read_pairs
from fusion_ros.replay.findings import Evidence, find_faults
from fusion_ros.replay.run import Replay, ReplayResult
from fusion_ros.replay.settings import ReplaySettings
from fusion_ros.streams.ledger import Stream

SHAPE = (48, 64)
SETTINGS = ReplaySettings(measures=(), baselines=(), measure_in_background=False)
GAP = [n for n in range(12) if n not in (3, 4, 5)]


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = lambda values: FusionPipeline(StandInEngine())  # noqa: E731
    monkeypatch.setattr(pipeline_making, "make_pipeline", pipeline)


def number_picture(n: int, *, texture: int = 7, dtype: type = np.uint8) -> np.ndarray:
    """A bar whose position is the number, over a texture that differs between the cameras."""
    picture = np.tile(np.arange(SHAPE[1]) % texture * 5 + 20, (SHAPE[0], 1)).astype(dtype)
    picture[10:30, 4 * n : 4 * n + 4] = 250
    return picture


def number_of(picture: np.ndarray) -> int:
    grey = picture if picture.ndim == 2 else picture[..., 1]
    return int(grey[12:28].astype(np.float64).mean(axis=0).argmax()) // 4


def folders(root: Path, seen: list[int], felt: list[int], names: tuple[str, str]) -> Path:
    for folder, numbers, name in (("vis", seen, names[0]), ("ir", felt, names[1])):
        (root / folder).mkdir(parents=True)
        for n in numbers:
            picture = number_picture(n, texture=len(folder) + 4)
            cv2.imwrite(str(root / folder / name.format(n)), picture)
    return root


def fuse(root: Path, *more: str) -> int:
    inputs = ["--visible", str(root / "vis"), "--thermal", str(root / "ir")]
    return main(["fuse", *inputs, "--out", str(root / "out"), *more])


def replay(
    root: Path, engine: StandInEngine | None = None, **options: object
) -> tuple[ReplayResult, dict[str, object], dict[Stream, list[np.ndarray]]]:
    """Result, findings by code, and the images by stream."""
    recording = open_recording(root / "vis", partner=root / "ir", **options)
    result = Replay(recording, FusionPipeline(engine or StandInEngine()), SETTINGS).run()
    evidence = Evidence(recording.identity, recording.damage, result, SETTINGS)
    recording.close()
    again = open_recording(root / "vis", partner=root / "ir", **options)
    pictures: dict[Stream, list[np.ndarray]] = {stream: [] for stream in Stream}
    for frame in again.frames():
        pictures[frame.stream].append(frame.read().pixels)
    again.close()
    return result, {finding.code: finding for finding in find_faults(evidence)}, pictures


@pytest.mark.parametrize(
    "names", [("FLIR_{:05}.png", "FLIR_{:05}.png"), ("rgb-{}.png", "thermal_{:04}.png")]
)
def test_a_gap_in_one_folder_shifts_no_pair_in_any_command(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    root = folders(tmp_path / "drive", list(range(12)), GAP, names)
    assert fuse(root) == 0
    written = sorted(os.listdir(root / "out"))
    assert len(written) == 9
    assert sorted(number_of(cv2.imread(str(root / "out" / name))) for name in written) == GAP
    result, _, pictures = replay(root)
    assert len(result.log.pairs) == 9
    for pair in result.log.pairs:
        seen = number_of(pictures[Stream.VISIBLE][pair.visible_index])
        assert seen == number_of(pictures[Stream.THERMAL][pair.thermal_index])
    samples = read_pairs(root / "vis", partner=root / "ir")
    assert [number_of(seen) for _, seen, _ in samples] == GAP
    assert [number_of(felt) for _, _, felt in samples] == GAP
    assert main(["record", str(root), str(tmp_path / "bag")]) == 0
    by_stamp: dict[Stream, dict[int, int]] = {stream: {} for stream in Stream}
    bag = open_recording(tmp_path / "bag")
    for frame in bag.frames():
        by_stamp[frame.stream][frame.stamp_ns] = number_of(frame.read().pixels)
    bag.close()
    assert sorted(by_stamp[Stream.THERMAL].values()) == GAP
    for stamp_ns, number in by_stamp[Stream.THERMAL].items():
        assert by_stamp[Stream.VISIBLE][stamp_ns] == number


def test_a_wide_tolerance_does_not_change_matches_by_name(tmp_path: Path) -> None:
    root = folders(tmp_path, [0, 1, 2, 4], [0, 1, 3, 4], ("{}.png", "{}.png"))
    settings = ReplaySettings(
        measures=(), baselines=(), measure_in_background=False, tolerance_ns=10**9
    )
    recording = open_recording(root / "vis", partner=root / "ir")
    result = Replay(recording, FusionPipeline(StandInEngine()), settings).run()
    assert [(p.visible_index, p.thermal_index) for p in result.log.pairs] == [
        (0, 0),
        (1, 1),
        (3, 3),
    ]


def test_names_without_a_match_are_refused_by_every_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "drive"
    for folder, names in (("vis", "abc"), ("ir", "xyz")):
        (root / folder).mkdir(parents=True)
        for n, name in enumerate(names):
            picture = number_picture(n, texture=len(folder) + 4)
            cv2.imwrite(str(root / folder / f"{name}.png"), picture)
    inputs = ["--visible", str(root / "vis"), "--thermal", str(root / "ir")]
    commands = {
        "fuse": ["fuse", *inputs, "--out", str(root / "out")],
        "record": ["record", str(root), str(root / "bag")],
        "replay": ["replay", str(root), "--out", str(root / "replay")],
        "calibrate": ["calibrate", "--from-pairs", *inputs, "--out", str(root / "rig.yaml")],
    }
    for name, command in commands.items():
        assert main(command) == 2, name
        printed = capsys.readouterr().err
        assert all(f"{file}.png" in printed for file in "abcxyz"), name
    assert main([*commands["fuse"], "--by-order"]) == 0
    assert number_of(cv2.imread(str(root / "out/b.png"))) == 1
    assert main([*commands["record"], "--by-order"]) == 0
    assert len(read_pairs(root / "vis", partner=root / "ir", matching=Matching(by_order=True))) == 3
    assert len(replay(root, matching=Matching(by_order=True))[0].log.pairs) == 3
    (root / "ir/z.png").unlink()
    assert main([*commands["fuse"], "--by-order"]) == 2
    assert re.findall(r"\b[23] (?:visible|thermal)", capsys.readouterr().err)


def test_one_folder_for_both_cameras_is_refused_by_every_command(tmp_path: Path) -> None:
    (tmp_path / "vis").mkdir()
    cv2.imwrite(str(tmp_path / "vis/a.png"), number_picture(1))
    (tmp_path / "ir").symlink_to(tmp_path / "vis")
    inputs = ["--visible", str(tmp_path / "vis"), "--thermal", str(tmp_path / "ir")]
    assert main(["fuse", *inputs, "--out", str(tmp_path / "out")]) == 2
    assert main(["record", str(tmp_path), str(tmp_path / "bag")]) == 2
    assert main(["replay", str(tmp_path), "--out", str(tmp_path / "replay")]) == 2
    assert main(["calibrate", "--from-pairs", *inputs, "--out", str(tmp_path / "r.yaml")]) == 2
    picture = str(tmp_path / "vis/a.png")
    assert fuse_files(picture, picture, tmp_path) == 2
    assert fuse_files(picture, str(tmp_path / "ir/a.png"), tmp_path) == 2


def fuse_files(visible: str, thermal: str, root: Path) -> int:
    return main(["fuse", "--visible", visible, "--thermal", thermal, "--out", str(root / "out")])


def video(path: Path, count: int, rate_hz: float) -> Path:
    codec = cv2.VideoWriter_fourcc(*"FFV1")
    writer = cv2.VideoWriter(str(path), codec, rate_hz, SHAPE[::-1])
    if not writer.isOpened():
        pytest.skip("this OpenCV writes no FFV1")
    for n in range(count):
        picture = number_picture(int(n * 12 / count), texture=int(rate_hz))
        writer.write(np.dstack([picture] * 3))
    writer.release()
    return path


def test_videos_of_two_rates_pair_by_time_in_every_command(tmp_path: Path) -> None:
    """Both show one number for the same third of a second, at 30 Hz and at 9 Hz."""
    seen, felt = video(tmp_path / "a_vis.mkv", 120, 30.0), video(tmp_path / "a_ir.mkv", 36, 9.0)
    assert fuse_files(str(seen), str(felt), tmp_path) == 0
    fused = cv2.VideoCapture(str(tmp_path / "out/a_vis.mp4"))
    assert fused.get(cv2.CAP_PROP_FPS) == pytest.approx(9.0)
    assert int(fused.get(cv2.CAP_PROP_FRAME_COUNT)) in (35, 36)
    recording = open_recording(seen)
    result = Replay(recording, FusionPipeline(StandInEngine()), SETTINGS).run()
    recording.close()
    pairs = [pair for pair in result.log.pairs if not pair.is_held]
    assert len(pairs) in (35, 36)
    for pair in pairs:
        assert abs(pair.visible_index / 30 - pair.thermal_index / 9) < 1 / 59
    samples = read_pairs(seen, partner=felt)
    assert len(samples) > 10
    differ = [number_of(a) - number_of(b) for _, a, b in samples]
    assert max(map(abs, differ)) <= 1  # at a change of the number, within half a period
    assert sum(d != 0 for d in differ) <= len(differ) / 3
    assert main(["record", str(seen), "--thermal", str(felt), str(tmp_path / "bag")]) == 0
    bag = open_recording(tmp_path / "bag")
    stamps: dict[Stream, list[int]] = {stream: [] for stream in Stream}
    for frame in bag.frames():
        stamps[frame.stream].append(frame.stamp_ns)
    bag.close()
    for stream, rate_hz in ((Stream.VISIBLE, 30), (Stream.THERMAL, 9)):
        assert np.median(np.diff(stamps[stream])) == pytest.approx(1e9 / rate_hz, rel=0.02)


def pair_files(root: Path, visible: np.ndarray, thermal: np.ndarray) -> Path:
    for folder, pixels in (("vis", visible), ("ir", thermal)):
        (root / folder).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / folder / "a.png"), pixels)
    return root


COLOURS = cv2.applyColorMap(number_picture(3), cv2.COLORMAP_JET)


def test_a_thermal_image_without_a_number_is_reported_as_constant() -> None:
    grey = PixelFrame(number_picture(2), ChannelOrder.BGR)
    nothing = PixelFrame(np.full((48, 64), np.nan, np.float32), ChannelOrder.GREY)
    assert PairDoubt.THERMAL_CONSTANT in input_doubts(grey, nothing)


def test_a_result_without_effect_is_reported_by_fuse_and_replay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = pair_files(tmp_path, number_picture(2), number_picture(5))
    assert fuse(root) == 0
    assert "fused_is_visible" not in replay(root)[1]
    visible_only = StandInEngine(lambda visible, thermal: visible)
    monkeypatch.setattr(pipeline_making, "make_pipeline", lambda _: FusionPipeline(visible_only))
    assert fuse(root) == 1
    assert "equals the visible one" in capsys.readouterr().err
    _, findings, _ = replay(root, visible_only)
    assert findings["fused_is_visible"].severity == "error"


@pytest.mark.parametrize(
    ("visible", "thermal", "code", "word"),
    [
        (number_picture(2, dtype=np.uint16), number_picture(2), 2, "uint16"),
        (number_picture(2), COLOURS, 0, "swapped"),
        (COLOURS, COLOURS[..., ::-1].copy(), 0, "shows colours"),
        (number_picture(2), np.full(SHAPE, 77, np.uint8), 0, "one value everywhere"),
        (number_picture(2), number_picture(2), 1, "same"),
    ],
    ids=["swapped_depth", "swapped_colour", "false_colour", "constant", "same"],
)
def test_doubtful_inputs_are_reported(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    visible: np.ndarray,
    thermal: np.ndarray,
    code: int,
    word: str,
) -> None:
    assert fuse(pair_files(tmp_path, visible, thermal)) == code
    assert word in capsys.readouterr().err


def test_thermal_images_of_one_value_are_an_error_of_the_replay(tmp_path: Path) -> None:
    root = pair_files(tmp_path, number_picture(2), np.full(SHAPE, 77, np.uint8))
    assert replay(root)[1]["thermal_constant"].severity == "error"


def test_a_rendering_without_counts_is_refused_by_every_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = pair_files(tmp_path / "drive", number_picture(2), number_picture(5))
    data = cv2.imencode(".jpg", COLOURS)[1].tobytes()
    body = b"FLIR\0\x01\0\0" + bytes(500)
    marked = data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]
    (root / "ir/a.png").unlink()
    (root / "ir/a.jpg").write_bytes(marked)
    commands = {
        "fuse": (2, ["fuse", str(root), "--out", str(tmp_path / "out")]),
        "record": (1, ["record", str(root), str(tmp_path / "bag")]),
    }
    for name, (code, command) in commands.items():
        assert main(command) == code, name
        assert "a.jpg is a rendering of a FLIR camera" in capsys.readouterr().err
    reported: list[str] = []
    assert read_pairs(root, report=reported.append) == []
    assert any("a.jpg is a rendering" in line for line in reported)


def test_times_in_equal_names_space_the_frames(tmp_path: Path) -> None:
    names = ["1700000100.000", "1700000100.250", "1700000101.000"]
    for folder in ("vis", "ir"):
        (tmp_path / folder).mkdir()
        for name in names:
            cv2.imwrite(str(tmp_path / folder / f"{name}.png"), number_picture(1))
    for rate_hz, expected_ms in ((None, [250, 750]), (10.0, [100, 100])):
        recording = open_recording(tmp_path, rate_hz=rate_hz)
        stamps = [f.stamp_ns for f in recording.frames() if f.stream is Stream.VISIBLE]
        assert np.diff(stamps).tolist() == [ms * 10**6 for ms in expected_ms]
        assert recording.identity.is_matched
