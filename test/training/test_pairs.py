# SPDX-License-Identifier: Apache-2.0
"""Each data set's layout, on tiny trees made here; missing and odd files are listed, not fatal."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from training.data.pairs import DATA_SETS, DataSetError, PairFiles, find_pairs
from training.data.reading import read_pair, warp_thermal


def write(path: Path, height: int = 40, width: int = 48, channels: int = 3) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (height, width, channels) if channels > 1 else (height, width)
    picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert cv2.imwrite(str(path), picture)
    return path


LAYOUTS = {
    "flir": ("train/RGB/FLIR_0001.jpg", "train/thermal_8_bit/FLIR_0001.jpeg", "train/FLIR_0001"),
    "kaist": (
        "set00/V000/visible/I00000.jpg",
        "set00/V000/lwir/I00000.jpg",
        "set00/V000/I00000",
    ),
    "msrs": ("train/vi/00001D.png", "train/ir/00001D.png", "00001D"),
    "roadscene": ("vis/0001.jpg", "ir/0001.jpg", "0001"),
    "llvip": ("visible/train/010001.jpg", "infrared/train/010001.jpg", "train/010001"),
    "m3svd": ("clip/vis/0000.png", "clip/ir/0000.png", "clip/0000"),
    "tno": ("vis/0001.png", "ir/0001.png", "0001"),
    "vifb": ("VI/man.jpg", "IR/man.jpg", "man"),
    "folders": ("visible/a.png", "thermal/a.png", "a"),
}


def test_every_data_set_of_images_has_a_layout():
    assert set(LAYOUTS) | {"m3svd_video"} == set(DATA_SETS)


@pytest.mark.parametrize("kind", sorted(LAYOUTS))
def test_a_published_layout_is_found(kind, tmp_path):
    visible, thermal, name = LAYOUTS[kind]
    write(tmp_path / visible)
    write(tmp_path / thermal, channels=1)
    found = find_pairs(kind, tmp_path)
    assert [p.name for p in found] == [name]
    assert found.problems == []
    ((colour, grey),) = read_pair(found.pairs[0])
    assert colour.shape == (40, 48, 3)
    assert grey.shape == (40, 48)


def test_files_without_a_partner_are_listed_and_skipped(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / f"vis/{name}.png")
    for name in ("b", "c"):
        write(tmp_path / f"ir/{name}.png", channels=1)
    found = find_pairs("folders", tmp_path)
    assert [p.name for p in found] == ["b"]
    assert len(found.problems) == 2
    assert "a.png: no thermal partner" in found.problems[0]
    assert "c.png: no visible partner" in found.problems[1]


def test_equal_names_in_sub_folders_are_two_pairs(tmp_path):
    for clip in ("a", "b"):
        write(tmp_path / f"vis/{clip}/0000.png")
        write(tmp_path / f"ir/{clip}/0000.png", channels=1)
    found = find_pairs("folders", tmp_path)
    assert [(p.name, p.thermal.parent.name) for p in found] == [("a/0000", "a"), ("b/0000", "b")]


def test_full_size_visible_images_of_roadscene_are_scaled_to_the_thermal_size(tmp_path):
    write(tmp_path / "vis_hr/0001.jpg", 100, 120)
    write(tmp_path / "ir/0001.jpg", 40, 48, 1)
    (pair,) = find_pairs("roadscene", tmp_path)
    ((colour, grey),) = read_pair(pair)
    assert colour.shape[:2] == grey.shape == (40, 48)


def test_video_frames_pair_by_number_and_include_the_next_frame(tmp_path):
    for part, levels in (("vis", range(0, 200, 10)), ("ir", range(200, 0, -10))):
        path = str(tmp_path / f"clip_{part}.mp4")
        writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"mp4v"), 30, (64, 48))
        for level in levels:
            writer.write(np.full((48, 64, 3), level, np.uint8))
        writer.release()
    found = find_pairs("m3svd_video", tmp_path)
    assert [p.name for p in found] == ["clip/00000", "clip/00015"]
    frames = read_pair(found.pairs[1])
    assert [round(float(v.mean()), -1) for v, _ in frames] == [150, 160]
    assert [round(float(t.mean()), -1) for _, t in frames] == [50, 40]


def test_a_video_without_a_list_of_frames_is_a_problem(tmp_path):
    for part in ("vis", "ir"):
        path = str(tmp_path / f"clip_{part}.mkv")
        writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), 30, (64, 48))
        writer.write(np.zeros((48, 64, 3), np.uint8))
        writer.release()
    with pytest.raises(DataSetError, match=r"clip_vis\.mkv"):
        find_pairs("m3svd_video", tmp_path)


def test_a_gap_and_another_rate_cause_no_wrong_pair(tmp_path):
    for n in range(6):
        write(tmp_path / f"vis/rgb_{n}.png")
        if n != 2:
            write(tmp_path / f"ir/thermal_{n:04d}.png", channels=1)
    found = find_pairs("folders", tmp_path)
    assert [(p.visible.stem[-1], p.thermal.stem[-1]) for p in found] == [(n, n) for n in "01345"]
    for part, rate in (("vis", 30), ("ir", 9)):
        path = str(tmp_path / f"clip_{part}.mp4")
        writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"mp4v"), rate, (64, 48))
        for _ in range(20):
            writer.write(np.zeros((48, 64, 3), np.uint8))
        writer.release()
    with pytest.raises(DataSetError, match="no <clip>_vis video"):
        find_pairs("m3svd_video", tmp_path)


def test_thermal_colours_are_named(tmp_path):
    write(tmp_path / "t.png")
    with pytest.raises(DataSetError, match=r"t\.png: .*colours"):
        read_pair(PairFiles("x", write(tmp_path / "v.png"), tmp_path / "t.png"))


def test_a_split_list_keeps_its_pairs_only(tmp_path):
    for name in ("a", "b", "c"):
        write(tmp_path / f"set/vis/{name}.png")
        write(tmp_path / f"set/ir/{name}.png", channels=1)
    split = tmp_path / "train.txt"
    split.write_text("set/vis/a.png set/ir/a.png\nc\nelsewhere/vis/z.png\n")
    assert [p.name for p in find_pairs("folders", tmp_path / "set", split)] == ["a", "c"]


@pytest.mark.parametrize(
    ("text", "message"), [("", "is empty"), ("unknown.png", "none of the 1 lines")]
)
def test_a_split_list_that_names_nothing_is_an_error(tmp_path, text, message):
    write(tmp_path / "vis/a.png")
    write(tmp_path / "ir/a.png", channels=1)
    split = tmp_path / "train.txt"
    split.write_text(text)
    with pytest.raises(DataSetError, match=message):
        find_pairs("folders", tmp_path, split)


def test_unknown_kinds_and_missing_roots_are_named(tmp_path):
    with pytest.raises(DataSetError, match="data set is 'tmo'; allowed: "):
        find_pairs("tmo", tmp_path)
    with pytest.raises(DataSetError, match="absent"):
        find_pairs("tno", tmp_path / "absent")


def test_a_broken_image_and_unequal_sizes_are_named(tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    good = write(tmp_path / "good.png", 40, 48)
    small = write(tmp_path / "small.png", 40, 44, 1)
    with pytest.raises(DataSetError, match=r"broken.png cannot be decoded"):
        read_pair(PairFiles("x", broken, good))
    with pytest.raises(DataSetError, match=r"good.png is 48x40, .*small.png 44x40"):
        read_pair(PairFiles("x", good, small))


def test_not_a_number_in_a_float_thermal_image_is_named(tmp_path):
    thermal = np.full((40, 48), 300.0, np.float32)
    thermal[3, 4] = np.nan
    assert cv2.imwrite(str(tmp_path / "t.tiff"), thermal)
    with pytest.raises(DataSetError, match=r"t.tiff holds NaN"):
        read_pair(PairFiles("x", write(tmp_path / "v.png"), tmp_path / "t.tiff"))


def test_sixteen_bit_thermal_counts_span_the_eight_bit_range(tmp_path):
    counts = np.linspace(29000, 31000, 40 * 48).reshape(40, 48).astype(np.uint16)
    assert cv2.imwrite(str(tmp_path / "t.png"), counts)
    ((_, thermal),) = read_pair(PairFiles("x", write(tmp_path / "v.png"), tmp_path / "t.png"))
    assert thermal.min() == 0
    assert thermal.max() == 255


def test_a_homography_brings_a_thermal_camera_of_narrower_view_onto_the_visible_grid():
    # The thermal picture shows the visible one's part from (40, 30), at half its pixel density.
    y, x = np.mgrid[0:120, 0:160]
    scene = (127 + 100 * np.sin(x / 9.0) * np.cos(y / 7.0)).astype(np.uint8)
    thermal = cv2.resize(scene[30:90, 40:120], (40, 32), interpolation=cv2.INTER_AREA)
    homography = np.array([[2.0, 0, 40], [0, 60 / 32, 30], [0, 0, 1]])
    colour, warped = warp_thermal(np.dstack([scene] * 3), thermal, homography)
    assert colour.shape[:2] == warped.shape == (30, 40)
    difference = np.abs(colour[2:-2, 2:-2, 0].astype(int) - warped[2:-2, 2:-2])
    assert difference.mean() < 8
    with pytest.raises(DataSetError, match=r"homography .*visible"):
        warp_thermal(np.dstack([scene] * 3), thermal, np.array([[2, 0, 500], [0, 2, 0], [0, 0, 1]]))
