# SPDX-License-Identifier: Apache-2.0
"""Parts of the recorder: images, a video in real time and counts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from fusion_ros.cli.processes import isolated_environment
from fusion_ros.imaging.side_by_side import STRIP, side_by_side
from fusion_ros.nodes.recorder.results import (
    PacedVideo,
    RecentFrames,
    counts_from_status,
)


def test_recent_frames_are_found_by_the_nearest_stamp() -> None:
    recent = RecentFrames(size=2)
    assert recent.nearest(5) is None
    for stamp in (10, 20, 30):
        recent.add(stamp, np.full((1, 1), stamp))
    assert recent.nearest(0) == 20
    assert recent.nearest(26) == 30


def test_panels_are_side_by_side_in_their_colours() -> None:
    red = np.zeros((60, 80, 3), np.uint8)
    red[..., 0] = 255
    grey = np.full((30, 40), 100, np.uint8)
    picture = side_by_side({"visible": red, "thermal": grey})
    assert picture.shape == (60 + STRIP, 160, 3)
    assert picture[STRIP + 30, 40].tolist() == [0, 0, 255]  # BGR, as OpenCV writes it
    assert picture[STRIP + 30, 120].tolist() == [100, 100, 100]


def test_video_of_a_slow_stream_plays_in_real_time(tmp_path: Path) -> None:
    video = PacedVideo(tmp_path / "v.mp4", rate_hz=10.0)
    for n in range(4):  # two frames a second
        video.add(n * 0.5, {"visible": np.full((48, 64, 3), 60 * n, np.uint8)})
    video.close()
    assert video.written == 16
    reader = cv2.VideoCapture(str(tmp_path / "v.mp4"))
    means = []
    while (item := reader.read())[0]:
        means.append(item[1][STRIP:].mean())
    assert np.rint(np.array(means) / 60).astype(int).tolist() == [0] * 5 + [1] * 5 + [2] * 5 + [3]


def test_counts_from_a_status_have_every_frame_under_its_fate() -> None:
    fields: dict[str, object] = {}
    for stream in ("visible", "thermal"):
        fates = {"received": 11, "fused": 4, "held": 1, "superseded": 1, "unpaired": 2, "late": 0}
        fates |= {"duplicate": 1, "rejected": 2, "pending": 0}
        fields |= {f"{stream}_{fate}": count for fate, count in fates.items()}
        fields[f"{stream}_rejected_reasons"] = ["truncated"]
        fields[f"{stream}_rejected_counts"] = [2]
    counts = counts_from_status(SimpleNamespace(**fields))
    for stream in ("visible", "thermal"):
        dropped = dict(counts["frames_dropped"][stream])
        assert dropped.pop("rejected_by_reason") == {"truncated": 2}
        fused = counts["frames_fused"][stream] + counts["frames_held"][stream]
        assert counts["frames_in"][stream] == fused + sum(dropped.values())


def run_recorder(**values: str) -> subprocess.CompletedProcess[str]:
    """Run the recorder in a process, without a fuse node."""
    given = [part for name, value in values.items() for part in ("-p", f"{name}:={value}")]
    return subprocess.run(
        [sys.executable, "-m", "fusion_ros.nodes.recorder.recorder_node", "--ros-args", *given],
        env=isolated_environment(os.environ), capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.ros
def test_a_file_that_cannot_be_written_ends_the_recorder_with_code_2(tmp_path: Path) -> None:
    (tmp_path / "summary.json").mkdir()
    done = run_recorder(out=str(tmp_path), timeout_s="0.1", video="false")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.count("summary.json") == 1


@pytest.mark.ros
@pytest.mark.parametrize(
    ("name", "value"), [("seconds", "3"), ("seconds", "-1.0"), ("out", "/dev/null")]
)
def test_a_parameter_that_is_not_allowed_is_named(name: str, value: str) -> None:
    done = run_recorder(**{name: value})
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert f"parameter {name}" in done.stderr
