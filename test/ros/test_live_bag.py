# SPDX-License-Identifier: Apache-2.0
"""`fusion-ros record --live` writes what is on the wire, and the bag replays."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("rosbags")

from fusion_ros.accounting import Stream
from fusion_ros.cli.processes import Processes, isolated_environment
from fusion_ros.replay.opening import open_recording

pytestmark = [pytest.mark.ros, pytest.mark.slow]


def test_live_topics_become_a_bag_with_both_cameras(tmp_path: Path) -> None:
    environment = isolated_environment(os.environ)
    with Processes(environment, tmp_path / "logs") as processes:
        for modality in ("visible", "thermal"):
            processes.start(
                f"{modality}_camera",
                "fusion_ros.nodes.synthetic_camera",
                {"modality": modality, "rate_hz": 10.0, "width": 160, "height": 120},
                arguments=("-r", f"__node:={modality}_camera"),
            )
        command = [sys.executable, "-m", "fusion_ros.cli.main", "record", str(tmp_path / "bag")]
        done = subprocess.run(
            [*command, "--live", "--seconds", "12"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    recording = open_recording(tmp_path / "bag")
    frames = list(recording.frames())
    recording.close()
    assert {frame.stream for frame in frames} == set(Stream)
    assert all(frame.read().pixels.shape[:2] == (120, 160) for frame in frames)
    assert [recording.identity.messages(s) for s in Stream] == [
        sum(frame.stream is s for frame in frames) for s in Stream
    ]
