# SPDX-License-Identifier: Apache-2.0
"""One folder of both cameras is paired by the naming conventions of cameras and data sets."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from fusion_ros.cli.main import main
from fusion_ros.recordings.file_pairs import find_pairs, result_names
from fusion_ros.recordings.matching import MatchError, Matching

LAYOUTS = {
    "suffixes": ["{}_vis.png", "{}_ir.png"],
    "KAIST files": ["set00_V000_I0000{}_visible.png", "set00_V000_I0000{}_lwir.png"],
    "KAIST tree": ["set00/V000/visible/I0000{}.jpg", "set00/V000/lwir/I0000{}.jpg"],
    "FLIR ADAS aligned": ["FLIR_0000{}_RGB.jpg", "FLIR_0000{}_PreviewData.jpeg"],
    "FLIR ADAS tree": ["train/RGB/FLIR_0{}.jpg", "train/thermal_8_bit/FLIR_0{}.jpeg"],
    "V0001 and I0001": ["V000{}.png", "I000{}.png"],
    "DC_ and FLIR": ["DC_000{}.jpg", "FLIR000{}.jpg"],
    "DJI": ["DJI_2023111422132{0}_000{0}_V.JPG", "DJI_2023111422132{0}_000{0}_T.JPG"],
    "DJI wide": ["DJI_2023111422132{0}_000{0}_W.JPG", "DJI_2023111422132{0}_000{0}_T.JPG"],
    "LLVIP": ["visible/train/01000{}.jpg", "infrared/train/01000{}.jpg"],
    "M3FD": ["Vis/0000{}.png", "Ir/0000{}.png"],
    "MSRS": ["train/vi/0000{}D.png", "train/ir/0000{}D.png"],
    "RoadScene": ["crop_HR_visible/FLIR_0000{}.jpg", "cropinfrared/FLIR_0000{}.jpg"],
    "VIFB": ["VI/car{}.jpg", "IR/car{}.jpg"],
    "TNO prefixes": ["Athena/helicopter/VIS_helib_01{}.bmp", "Athena/helicopter/IR_helib_01{}.bmp"],
    "TNO folders": ["house_{}/VIS_meting003_r.bmp", "house_{}/IR_meting003_g.bmp"],
    "TNO sequences": ["Nato_camp/visual/180{}v.bmp", "Nato_camp/thermal/180{}i.bmp"],
    "videos": ["drive{}_rgb.mp4", "drive{}_thermal.mp4"],
}


def make(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def pairs_of(root: Path, **choices: object) -> list[tuple[str, str]]:
    match = find_pairs(root, matching=Matching(**choices))
    return [
        (pair.visible.relative_to(root).as_posix(), pair.thermal.relative_to(root).as_posix())
        for pair in match.pairs
    ]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_is_paired_and_its_gaps_are_left_over(layout: str, tmp_path: Path) -> None:
    visible, thermal = LAYOUTS[layout]
    make(tmp_path, *(visible.format(n) for n in (1, 2, 4)))
    make(tmp_path, *(thermal.format(n) for n in (1, 3, 4)), "readme.txt")
    assert pairs_of(tmp_path) == [(visible.format(n), thermal.format(n)) for n in (1, 4)]
    match = find_pairs(tmp_path)
    left = sorted(each.path.relative_to(tmp_path).as_posix() for each in match.left)
    assert left == sorted([visible.format(2), thermal.format(3), "readme.txt"])
    assert all(each.why for each in match.left)
    assert len(set(result_names(match.pairs))) == 2


def test_one_tree_may_follow_several_conventions(tmp_path: Path) -> None:
    used = ("TNO prefixes", "TNO folders", "TNO sequences")
    expected = {
        tuple(name.format(n) for name in LAYOUTS[layout]) for layout in used for n in (1, 2)
    }
    make(tmp_path, *(name for pair in expected for name in pair))
    assert set(pairs_of(tmp_path)) == expected
    assert len({pair.rule for pair in find_pairs(tmp_path).pairs}) == 2


def test_the_full_size_images_of_roadscene_are_preferred(tmp_path: Path) -> None:
    make(tmp_path, *(f"{f}/a.jpg" for f in ("crop_LR_visible", "crop_HR_visible", "cropinfrared")))
    assert pairs_of(tmp_path) == [("crop_HR_visible/a.jpg", "cropinfrared/a.jpg")]


@pytest.mark.parametrize(
    ("names", "choices"),
    [
        (("vis/1700000000.00.png", "ir/1700000000.01.png"), {}),
        (("rgb_20231114_221320.png", "ir_20231114_221321.png"), {"tolerance_ms": 1000}),
        (("vis/a.png", "ir/b.png"), {"by_order": True}),
        (("left/cam7.png", "right/x7.png"), {"pattern": ("left/cam{}.png", "right/x{}")}),
        (("7_l.png", "7_r.png"), {"pattern": ("{}_l", "{}_r")}),
    ],
)
def test_other_rules_hold_in_one_folder_too(
    names: tuple[str, str], choices: dict[str, object], tmp_path: Path
) -> None:
    assert pairs_of(make(tmp_path, *names), **choices) == [names]


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    data = make(tmp_path / "data", "a/1.png", "b/1.png")
    root = tmp_path / "drive"
    root.mkdir()
    (root / "vis").symlink_to(data / "a")
    (root / "ir").symlink_to(data / "b")
    (data / "a" / "loop").symlink_to(root)
    assert pairs_of(root) == [("vis/1.png", "ir/1.png")]


def test_a_folder_without_a_known_convention_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MatchError, match=r"2 files \(a\.png, b\.png\)"):
        find_pairs(make(tmp_path, "a.png", "b.png"))
    with pytest.raises(ValueError, match=r"'cam_\*'"):
        find_pairs(tmp_path, matching=Matching(pattern=("cam_*", "ir_{}")))


def test_a_list_of_pairs_is_relative_to_its_folder(tmp_path: Path) -> None:
    make(tmp_path, "day/a.png", "night/b.png", "c.png")
    table = tmp_path / "pairs.csv"
    table.write_text("visible,thermal\nday/a.png, night/b.png\n\n")
    (pair,) = find_pairs(None, matching=Matching(pairs=table)).pairs
    assert pair[:2] == (tmp_path / "day/a.png", tmp_path / "night/b.png")
    for row, named in (
        ("day/a.png", "one cell"),
        ("day/a.png,none.png", "none.png"),
        ("day/a.png,pairs.csv", "pairs.csv"),
        ("day/a.png,day/a.png", "a.png"),
        ("day/a.png,c.png\nday/a.png,night/b.png", "row 2.*twice"),
        ("", "no pairs"),
    ):
        table.write_text(row)
        with pytest.raises(MatchError, match=named):
            find_pairs(None, matching=Matching(pairs=table))


def test_times_in_exif_pair_files_of_arbitrary_names(tmp_path: Path) -> None:
    pillow = pytest.importorskip("PIL.Image")
    for folder, names in (("vis", "abc"), ("ir", "xyz")):
        (tmp_path / folder).mkdir()
        for n, name in enumerate(names):
            exif = pillow.Exif()
            fraction = "75" if name == "z" else "25"
            exif.get_ifd(0x8769).update({0x9003: f"2023:11:14 22:13:2{n}", 0x9291: fraction})
            image = pillow.fromarray(np.zeros((4, 4), np.uint8))
            image.save(tmp_path / folder / f"{name}.jpg", exif=exif)
    expected = [("vis/a.jpg", "ir/x.jpg"), ("vis/b.jpg", "ir/y.jpg")]
    assert pairs_of(tmp_path) == expected
    assert pairs_of(tmp_path, tolerance_ms=1000) == [*expected, ("vis/c.jpg", "ir/z.jpg")]


@pytest.mark.parametrize("command", ["fuse", "record", "replay", "calibrate"])
def test_a_dry_run_prints_pairs_and_left_overs_and_writes_nothing(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if command == "replay":
        pytest.importorskip("torch", reason="PyTorch is not installed")
    root = tmp_path / "in"
    for name in ("a_vis.png", "a_ir.png", "b_vis.png"):
        root.mkdir(exist_ok=True)
        cv2.imwrite(str(root / name), np.zeros((8, 8), np.uint8))
    make(root, "notes.txt")
    out = str(tmp_path / "out")
    line = {
        "fuse": [str(root), "--out", out],
        "record": [str(root), out],
        "replay": [str(root), "--out", out],
        "calibrate": [str(root), "--from-pairs", "--out", out],
    }[command]
    assert main([command, *line, "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "1 pair by names with _vis and _ir" in printed
    assert all(name in printed for name in ("a_vis.png", "a_ir.png", "b_vis.png", "notes.txt"))
    assert not Path(out).exists()


def test_a_flir_sequence_is_left_over_with_advice(tmp_path: Path) -> None:
    for name in ("a_vis.png", "a_ir.png"):
        cv2.imwrite(str(tmp_path / name), np.zeros((8, 8), np.uint8))
    (tmp_path / "b.seq").write_bytes(b"FFF\0")
    (left,) = find_pairs(tmp_path).left
    assert left.path.name == "b.seq"
    assert "16-bit TIFF" in left.why
    with pytest.raises(MatchError, match="16-bit TIFF"):
        find_pairs(tmp_path / "a_vis.png", tmp_path / "b.seq")
