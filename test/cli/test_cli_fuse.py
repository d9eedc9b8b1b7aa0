# SPDX-License-Identifier: Apache-2.0
"""`fusion-ros fuse`: pairing of files, results, and the effect of unreadable files."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from stand_in_engine import StandInEngine

from fusion_ros import pipeline_factory as pipeline_making
from fusion_ros.calibration.files import load_calibration, save_calibration
from fusion_ros.cli.main import main
from fusion_ros.pipeline import FusionPipeline
from fusion_ros.registration.geometry import HomographyCalibration, Size


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        pipeline_making, "make_pipeline", lambda values: FusionPipeline(StandInEngine())
    )


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    for name in ("vis", "ir"):
        (tmp_path / name).mkdir()
    return tmp_path / "vis", tmp_path / "ir", tmp_path / "out"


def fuse(visible: Path, thermal: Path, out: Path, *more: str) -> int:
    return main(
        ["fuse", "--visible", str(visible), "--thermal", str(thermal), "--out", str(out), *more]
    )


def write(path: Path, value: int, *, shape: tuple[int, ...] = (32, 40)) -> None:
    assert cv2.imwrite(str(path), np.full(shape, value, np.uint8))


def write_pairs(
    folders: tuple[Path, ...], *names: str, visible: int = 10, thermal: int = 200
) -> None:
    for name in names:
        write(folders[0] / f"{name}.png", visible)
        write(folders[1] / f"{name}.png", thermal)


def test_folders_are_paired_by_name_and_files_without_a_partner_listed(
    folders: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    vis, ir, out = folders
    write(vis / "a.png", 10)
    write(ir / "a.jpg", 200)
    write(vis / "b.tiff", 10)
    write(ir / "b.png", 90)
    write(vis / "only_seen.png", 1)
    write(ir / "only_felt.png", 1)
    (vis / "notes.txt").write_text("not a picture")
    assert fuse(vis, ir, out) == 0
    assert sorted(os.listdir(out)) == ["a.png", "b.png"]
    assert abs(int(cv2.imread(str(out / "a.png"), 0)[5, 5]) - 200) <= 2
    assert cv2.imread(str(out / "b.png"), 0)[5, 5] == 90
    printed = capsys.readouterr().out
    assert "only_seen.png" in printed
    assert "only_felt.png" in printed
    assert "notes.txt" in printed
    assert "fused 2" in printed


def test_an_unreadable_file_affects_only_its_pair_and_is_counted(
    folders: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    vis, ir, out = folders
    write_pairs(folders, "a", "b", "c", "d")
    (vis / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    (ir / "c.png").write_bytes(b"")
    assert fuse(vis, ir, out) == 1
    assert sorted(os.listdir(out)) == ["a.png", "d.png"]
    printed = capsys.readouterr()
    assert "b.png" in printed.err
    assert "c.png" in printed.err
    assert "failed 2" in printed.out


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_thermal_counts_are_read_in_full_depth(
    folders: tuple[Path, Path, Path], dtype: type
) -> None:
    vis, ir, out = folders
    write(vis / "a.png", 10)
    ramp = np.linspace(29_000, 29_200, 32 * 40).reshape(32, 40).astype(dtype)
    assert cv2.imwrite(str(ir / "a.tiff"), ramp)
    assert fuse(vis / "a.png", ir / "a.tiff", out) == 0
    fused = cv2.imread(str(out / "a.png"), 0)
    # 200 counts fill the grey levels; read as 8 bits they would be one level.
    assert np.ptp(fused) > 200


def test_visible_images_may_have_alpha_or_16_bits(
    folders: tuple[Path, Path, Path],
) -> None:
    vis, ir, out = folders
    colour = np.full((32, 40, 4), (40, 80, 160, 255), np.uint8)
    assert cv2.imwrite(str(vis / "alpha.png"), colour)
    assert cv2.imwrite(str(vis / "deep.png"), colour[..., :3].astype(np.uint16) * 257)
    for name in ("alpha", "deep"):
        write(ir / f"{name}.png", 96)  # near the luma of that colour, by hand 99.4
    assert fuse(vis, ir, out) == 0
    for name in ("alpha", "deep"):
        fused = cv2.imread(str(out / f"{name}.png"))
        assert np.abs(fused[0, 0].astype(int) - (39, 77, 155)).max() <= 2


def test_sizes_may_differ_and_the_result_has_the_visible_size(
    folders: tuple[Path, Path, Path],
) -> None:
    vis, ir, out = folders
    write(vis / "a.png", 10, shape=(48, 64, 3))
    write(ir / "a.png", 100, shape=(24, 32))
    assert fuse(vis, ir, out) == 0
    assert cv2.imread(str(out / "a.png"), cv2.IMREAD_UNCHANGED).shape == (48, 64, 3)


def test_a_triptych_shows_all_three(folders: tuple[Path, Path, Path]) -> None:
    vis, ir, out = folders
    write_pairs(folders, "a")
    assert fuse(vis, ir, out, "--triptych") == 0
    assert cv2.imread(str(out / "a.png"), 0)[0, ::40].tolist() == [10, 200, 200]


def write_video(path: Path, levels: list[int]) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10.0, (64, 48))
    if not writer.isOpened():
        pytest.skip("this OpenCV writes no mp4")
    for level in levels:
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()


def test_frame_n_of_a_video_is_paired_with_frame_n(
    folders: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    vis, ir, out = folders
    levels = [20, 60, 100, 140, 180, 220]
    write_video(vis / "a_vis.mp4", [128] * 6)
    write_video(ir / "a_ir.mp4", [*levels, 250, 250])
    assert fuse(vis / "a_vis.mp4", ir / "a_ir.mp4", out) == 0
    assert os.listdir(out) == ["a_vis.mp4"]
    video = cv2.VideoCapture(str(out / "a_vis.mp4"))
    seen = []
    while (frame := video.read())[0]:
        seen.append(float(frame[1].mean()))
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(10.0)
    # Two passes through a lossy codec; the steps are 40.
    assert seen == pytest.approx(levels, abs=10)
    assert "0 visible, 2 thermal frames" in capsys.readouterr().out


def test_an_unreadable_video_fails_and_leaves_no_file(
    folders: tuple[Path, Path, Path],
) -> None:
    vis, ir, out = folders
    for folder in (vis, ir):
        (folder / "a.mp4").write_bytes(b"no video")
    assert fuse(vis, ir, out) == 2
    assert os.listdir(out) == []


def test_ctrl_c_leaves_complete_files_only(
    folders: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    vis, ir, out = folders
    write_pairs(folders, "a", "b", "c")
    real = os.replace

    def interrupted(source: str, target: str, **options: int) -> None:
        if Path(target).name == "b.png":
            raise KeyboardInterrupt
        real(source, target, **options)

    monkeypatch.setattr(os, "replace", interrupted)
    assert fuse(vis, ir, out) == 130
    assert os.listdir(out) == ["a.png"]


def test_a_result_never_replaces_an_input(folders: tuple[Path, Path, Path]) -> None:
    vis, ir, _ = folders
    write_pairs(folders, "a")
    assert fuse(vis, ir, vis) == 2
    assert cv2.imread(str(vis / "a.png"), 0)[0, 0] == 10


def test_unusable_input_is_refused_with_its_name(
    folders: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    vis, ir, out = folders
    write(vis / "a.png", 10)
    write(ir / "b.png", 10)
    (ir / "c.txt").write_text("text")
    write_video(ir / "d.mp4", [1, 2])
    for visible, thermal, named in (
        (vis, ir, "a.png"),
        (vis / "none", ir, "none"),
        (vis, ir / "b.png", "b.png"),
        (vis / "a.png", ir / "c.txt", "c.txt"),
        (vis / "a.png", ir / "d.mp4", "d.mp4"),
    ):
        assert fuse(visible, thermal, out) == 2
        assert not out.exists()
        error = capsys.readouterr().err
        assert named in error
        assert len(error.splitlines()) == 1


def test_a_shift_of_the_thermal_images_is_reported_and_a_calibration_removes_it(
    folders: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vis, ir, out = folders
    random = np.random.default_rng(4)
    for n in range(3):
        scene = cv2.resize(random.integers(0, 256, (30, 40), np.uint8), (320, 240))
        cv2.imwrite(str(vis / f"{n}.png"), scene)
        cv2.imwrite(str(ir / f"{n}.png"), np.roll(255 - scene, (4, 9), (0, 1)))

    def fused(*more: str) -> list[str]:
        assert fuse(vis, ir, out, "--json", str(tmp_path / "fused.json"), *more) == 0
        report = json.loads((tmp_path / "fused.json").read_text())
        assert (report["fused"], report["failed"], len(report["pairs"])) == (3, 0, 3)
        return [line for line in report["warnings"] if "shifted" in line]

    (warning,) = fused()
    assert "+9 px to the right, +4 px down" in warning
    size = Size(320, 240)
    back = np.array([[1.0, 0, -9], [0, 1, -4], [0, 0, 1]])
    save_calibration(tmp_path / "rig.yaml", HomographyCalibration(back, size, size))
    monkeypatch.setattr(
        pipeline_making,
        "make_pipeline",
        lambda values: pipeline_making.pipeline_around(StandInEngine(), values),
    )
    assert fused("--calibration", str(tmp_path / "rig.yaml")) == []
    assert fused("--align") == []
    found = load_calibration(out / "alignment.yaml")
    assert isinstance(found, HomographyCalibration)
    np.testing.assert_allclose(found.matrix[:2, 2] / found.matrix[2, 2], (-9, -4), atol=1.5)
    assert fuse(vis, ir, out, "--align", "--calibration", str(tmp_path / "rig.yaml")) == 2


def test_pairs_without_edges_are_not_aligned(
    folders: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    vis, ir, out = folders
    write_pairs(folders, "a", visible=90, thermal=90)
    assert fuse(vis, ir, out, "--align") == 2
    assert "--align" in capsys.readouterr().err
    assert not out.exists()
