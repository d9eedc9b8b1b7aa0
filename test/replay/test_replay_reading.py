# SPDX-License-Identifier: Apache-2.0
"""Recordings of every kind are read, and their topics chosen, as a person would."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from planted_faults import THERMAL, VISIBLE, replayed, shots, write_bag

from fusion_ros.recordings.opening import open_recording
from fusion_ros.recordings.recording import RecordingError, TopicFacts
from fusion_ros.recordings.topics import choose_topics
from fusion_ros.streams.ledger import Stream

IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"


def topics(*names: str, kind: str = IMAGE) -> list[TopicFacts]:
    return [TopicFacts(name, kind, 10) for name in names]


@pytest.mark.parametrize(
    ("storage", "compression", "jpeg"),
    [
        ("mcap", "none", False),
        ("sqlite3", "none", False),
        ("sqlite3", "message", False),
        ("sqlite3", "file", False),
        ("mcap", "none", True),
    ],
)
def test_every_storage_and_compression_gives_all_frames(
    tmp_path: Path, storage: str, compression: str, jpeg: bool
) -> None:
    bag = write_bag(tmp_path / "bag", count=12, storage=storage, compression=compression, jpeg=jpeg)
    result, _, evidence = replayed(bag)
    assert len(result.log.pairs) == 12
    assert evidence.identity.visible == VISIBLE
    assert evidence.identity.thermal == THERMAL
    assert [evidence.identity.messages(stream) for stream in Stream] == [12, 12]


def test_pixels_of_a_bag_are_read_back_unchanged(tmp_path: Path) -> None:
    recording = open_recording(write_bag(tmp_path / "bag", count=3))
    read = [(f.stream, f.read().pixels.copy()) for f in recording.frames()]
    recording.close()
    for (stream, pixels), shot in zip(read, shots(3), strict=True):
        assert (stream is Stream.VISIBLE) == (shot.topic == VISIBLE)
        np.testing.assert_array_equal(pixels, shot.frame.pixels)


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


def test_a_folder_of_images_is_paired_in_name_order(tmp_path: Path) -> None:
    for folder in ("vis", "ir"):
        (tmp_path / "clip" / folder).mkdir(parents=True)
    for n, shot in enumerate(shots(6)):
        folder = "vis" if shot.topic == VISIBLE else "ir"
        cv2.imwrite(str(tmp_path / "clip" / folder / f"{n // 2:04d}.png"), shot.frame.pixels)
    result, findings, evidence = replayed(tmp_path / "clip")
    assert findings == {}
    assert len(result.log.pairs) == 6
    assert evidence.identity.kind == "images"


def test_topics_are_chosen_by_name_with_a_reason() -> None:
    found = topics("/flir/image_raw", "/camera/color/image_raw", "/camera/depth/image_rect")
    visible, thermal, why = choose_topics(found)
    assert (visible, thermal) == ("/camera/color/image_raw", "/flir/image_raw")
    assert "'flir'" in why
    assert "'color'" in why


def test_a_raw_topic_is_taken_before_its_compressed_twin() -> None:
    found = [
        *topics("/rgb/image_raw", "/thermal/image_raw"),
        *topics("/rgb/image_raw/compressed", "/thermal/image_raw/compressed", kind=COMPRESSED),
    ]
    assert choose_topics(found)[:2] == ("/rgb/image_raw", "/thermal/image_raw")


def test_first_does_not_contain_the_word_ir() -> None:
    with pytest.raises(RecordingError, match=r"--thermal-topic.*/first/picture"):
        choose_topics(topics("/first/picture", "/second/picture"))


def test_a_missing_topic_is_named_with_the_existing_ones() -> None:
    with pytest.raises(RecordingError, match=r"--thermal-topic.*'/x'.*/ir/image_raw"):
        choose_topics(topics("/ir/image_raw", "/rgb/image_raw"), thermal="/x")


def test_a_path_that_is_no_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"metadata\.yaml"):
        open_recording(tmp_path)
