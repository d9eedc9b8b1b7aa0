# SPDX-License-Identifier: Apache-2.0
"""Pairs for a calibration out of folders, videos and bags."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from fusion_ros.imaging.encodings import ChannelOrder, PixelFrame
from fusion_ros.recordings.recording import RecordingError
from fusion_ros.recordings.sampled_pairs import read_pairs

PERIOD_NS = 33_333_333


def coloured(n: int) -> np.ndarray:
    return np.full((24, 32, 3), (10 * n, 20, 30), np.uint8)


def test_images_of_two_folders_match_by_name_and_keep_their_counts(tmp_path: Path) -> None:
    for name in ("vis", "ir"):
        (tmp_path / name).mkdir()
    for n in (1, 2, 4):
        cv2.imwrite(str(tmp_path / "vis" / f"{n}.png"), coloured(n))
    for n in (2, 3, 4):
        cv2.imwrite(str(tmp_path / "ir" / f"{n}.png"), np.full((8, 9), 7000 + n, np.uint16))
    pairs = read_pairs(tmp_path / "vis", partner=tmp_path / "ir")
    assert [name for name, _, _ in pairs] == ["2", "4"]
    assert [int(thermal[0, 0]) for _, _, thermal in pairs] == [7002, 7004]
    # OpenCV wrote (blue, green, red): 0.114 * 40 + 0.587 * 20 + 0.299 * 30 = 25.3
    assert pairs[1][1].shape == (24, 32)
    assert int(pairs[1][1][0, 0]) == 25


def test_the_requested_number_of_pairs_is_evenly_distributed(tmp_path: Path) -> None:
    for name in ("vis", "ir"):
        (tmp_path / name).mkdir()
        for n in range(20):
            cv2.imwrite(str(tmp_path / name / f"{n:02d}.png"), np.full((4, 4), n, np.uint8))
    pairs = read_pairs(tmp_path / "vis", partner=tmp_path / "ir", most=5)
    assert [name for name, _, _ in pairs] == ["00", "04", "08", "12", "16"]


def test_a_bag_gives_pairs_by_their_stamps(tmp_path: Path) -> None:
    pytest.importorskip("rosbags", reason="reading bags needs rosbags")
    from fusion_ros.recordings.bags.writer import BagWriter

    with BagWriter(tmp_path / "bag") as bag:
        for n in range(10):
            stamp_ns = 10**18 + n * PERIOD_NS
            seen = PixelFrame(coloured(n), ChannelOrder.BGR)
            bag.image("/visible/image_raw", seen, stamp_ns=stamp_ns)
            if n != 3:
                felt = PixelFrame(np.full((8, 9), 100 + n, np.uint16), ChannelOrder.GREY)
                late_ns = stamp_ns + 4_000_000
                bag.image("/thermal/image_raw", felt, stamp_ns=late_ns)
    pairs = read_pairs(tmp_path / "bag")
    assert [int(thermal[0, 0]) - 100 for _, _, thermal in pairs] == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert len(read_pairs(tmp_path / "bag", most=3)) == 3


def test_videos_are_paired_frame_by_frame(tmp_path: Path) -> None:
    paths = [tmp_path / "a_vis.avi", tmp_path / "a_ir.avi"]
    for path in paths:
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (32, 24))
        for n in range(6):
            writer.write(coloured(n))
        writer.release()
    if not cv2.VideoCapture(str(paths[0])).isOpened():
        pytest.skip("this OpenCV cannot write MJPG")
    assert len(read_pairs(paths[0], partner=paths[1])) == 6


def test_missing_paths_are_named(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="gone"):
        read_pairs(tmp_path / "gone")
    with pytest.raises(RecordingError, match=r"gone\.png"):
        read_pairs(tmp_path / "gone.png", partner=tmp_path / "also.png")
