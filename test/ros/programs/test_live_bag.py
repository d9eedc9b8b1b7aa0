# SPDX-License-Identifier: Apache-2.0
"""`fusion-ros record --live` writes live topics, and the bag is readable."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("rosbags")

from geometry_msgs.msg import TransformStamped
from rclpy.qos import DurabilityPolicy, QoSProfile
from tf2_msgs.msg import TFMessage

from fusion_ros.cli.main import main
from fusion_ros.cli.processes import Processes, isolated_environment
from fusion_ros.nodes import bag_recorder
from fusion_ros.nodes.bag_recorder import BagRecorder
from fusion_ros.recordings.bags.writer import BagWriter
from fusion_ros.recordings.opening import open_recording
from fusion_ros.streams.ledger import Stream

pytestmark = pytest.mark.ros


@pytest.mark.slow
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
        bag = tmp_path / "bag"
        running = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "fusion_ros.cli.main",
                "record",
                str(bag),
                "--live",
                "--seconds",
                "60",
            ],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        # Frames of both cameras; the bag is written once a second. Without any, the recorder ends.
        while running.poll() is None and sum(f.stat().st_size for f in bag.glob("*")) < 400_000:
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        text = running.communicate(timeout=60)[0]
    assert running.returncode == 0, text
    recording = open_recording(tmp_path / "bag")
    frames = list(recording.frames())
    recording.close()
    assert {frame.stream for frame in frames} == set(Stream)
    assert all(frame.read().pixels.shape[:2] == (120, 160) for frame in frames)
    assert [recording.identity.messages(s) for s in Stream] == [
        sum(frame.stream is s for frame in frames) for s in Stream
    ]


def test_a_latched_message_is_recorded(ros: Any, tmp_path: Path) -> None:
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    rig = ros.node("rig").create_publisher(TFMessage, "/tf_static", latched)
    rig.publish(TFMessage(transforms=[TransformStamped(child_frame_id="thermal")]))
    with BagWriter(tmp_path / "bag") as bag:
        recorder = ros.add(BagRecorder(bag, ["/tf_static"], context=ros.context))
        ros.spin_until(lambda: recorder.counts["/tf_static"] == 1, "the transform is in the bag")


def test_a_type_that_is_not_installed_is_reported_and_the_rest_is_recorded(
    ros: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    publishers = [
        ros.node(f"rig_{n}").create_publisher(TFMessage, f"/tf_{n}", latched) for n in (1, 2)
    ]
    for publisher in publishers:
        publisher.publish(TFMessage(transforms=[TransformStamped(child_frame_id="thermal")]))
    classes = iter([None, TFMessage])
    monkeypatch.setattr(bag_recorder, "_message_class", lambda kind: next(classes))
    with BagWriter(tmp_path / "bag") as bag:
        recorder = ros.add(BagRecorder(bag, ["/tf_1", "/tf_2"], context=ros.context))
        ros.spin_until(lambda: recorder.counts.total() == 1, "one topic is in the bag")
    assert "tf2_msgs/msg/TFMessage is not installed" in capfd.readouterr().err


def test_without_messages_no_bag_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["record", str(tmp_path / "bag"), "--live", "--seconds", "0.2"]
    assert main([*command, "--visible-topic", "/unused_1", "--thermal-topic", "/unused_2"]) == 2
    assert "/unused_1, /unused_2" in capsys.readouterr().err
    assert not (tmp_path / "bag").exists()
