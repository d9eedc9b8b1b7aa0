# SPDX-License-Identifier: Apache-2.0
"""Recordings of other kinds are replayed whole: JPEG images, and ROS 1."""

from __future__ import annotations

from pathlib import Path

import pytest
from planted_faults import THERMAL, VISIBLE, replayed, shots, write_bag

from fusion_ros.recordings.opening import open_recording
from fusion_ros.recordings.recording import RecordingError

IMAGE = "sensor_msgs/msg/Image"


def test_a_bag_of_jpeg_images_is_read(tmp_path: Path) -> None:
    result, _, evidence = replayed(write_bag(tmp_path / "bag", count=12, jpeg=True))
    assert len(result.log.pairs) == 12
    assert (evidence.identity.visible, evidence.identity.thermal) == (VISIBLE, THERMAL)


def test_a_ros1_bag_is_read(tmp_path: Path) -> None:
    from rosbags.rosbag1 import Writer
    from rosbags.typesys import Stores, get_typestore

    types = get_typestore(Stores.ROS1_NOETIC)
    path = tmp_path / "old.bag"
    with Writer(path) as bag:
        connections = {
            topic: bag.add_connection(topic, IMAGE, typestore=types) for topic in (VISIBLE, THERMAL)
        }
        for shot in shots(8):
            height, width = shot.frame.pixels.shape[:2]
            message = types.types[IMAGE](
                header=types.types["std_msgs/msg/Header"](
                    seq=0,
                    stamp=types.types["builtin_interfaces/msg/Time"](
                        sec=shot.stamp_ns // 10**9, nanosec=shot.stamp_ns % 10**9
                    ),
                    frame_id="camera",
                ),
                height=height,
                width=width,
                encoding="rgb8" if shot.topic == VISIBLE else "mono8",
                is_bigendian=0,
                step=shot.frame.pixels.strides[0],
                data=shot.frame.pixels.reshape(-1),
            )
            raw = types.serialize_ros1(message, IMAGE)
            bag.write(connections[shot.topic], shot.log_ns, raw)
    result, findings, evidence = replayed(path)
    assert evidence.identity.kind == "ros1"
    assert findings == {}
    assert len(result.log.pairs) == 8
    cut = tmp_path / "cut.bag"
    cut.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.5)])
    with pytest.raises(RecordingError, match="rosbag reindex"):
        open_recording(cut)
