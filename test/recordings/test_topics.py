# SPDX-License-Identifier: Apache-2.0
"""Camera topics of a bag are chosen by type and name, with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from fusion_ros.recordings.opening import open_recording
from fusion_ros.recordings.recording import RecordingError, TopicFacts
from fusion_ros.recordings.topics import choose_topics

IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"


def topics(*names: str, kind: str = IMAGE) -> list[TopicFacts]:
    return [TopicFacts(name, kind, 10) for name in names]


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
