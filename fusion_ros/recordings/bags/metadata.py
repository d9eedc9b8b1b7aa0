# SPDX-License-Identifier: Apache-2.0
"""metadata.yaml of a ROS 2 bag: its files and its message counts."""

from __future__ import annotations

import dataclasses
from pathlib import Path, PurePosixPath
from typing import Any

from fusion_ros.files.limits import MAX_TEXT_BYTES
from fusion_ros.files.reading import FAST_LOADER, parse_yaml, read_bytes
from fusion_ros.recordings.bags.bag_file import TopicType, ros2_type

NAME = "metadata.yaml"


class MetadataError(ValueError):
    """Error of an unusable metadata.yaml; the bag files can be read without it."""


@dataclasses.dataclass(frozen=True)
class BagMetadata:
    """The entries of metadata.yaml that reading needs.

    Attributes:
        files: file names in recorded order.
        counts: messages by topic.
    """

    files: tuple[str, ...]
    counts: dict[TopicType, int]


def read_metadata(folder: Path) -> BagMetadata:
    """Read the metadata of a bag's folder.

    Other entries are ignored, so that an unknown storage, profile or QoS does not prevent reading.

    Raises:
        MetadataError: the file is missing, too large, invalid YAML, or not in rosbag2's format.
    """
    try:
        content = parse_yaml(read_bytes(folder / NAME, MAX_TEXT_BYTES), FAST_LOADER)
    except OSError as error:
        raise MetadataError(str(error)) from error
    except ValueError as error:
        raise MetadataError(f"{NAME}: {error}") from error
    try:
        entries = content["rosbag2_bagfile_information"]
        files = tuple(PurePosixPath(_name(file)).name for file in entries["relative_file_paths"])
        counts: dict[TopicType, int] = {}
        for entry in entries.get("topics_with_message_count") or ():
            about = entry["topic_metadata"]
            topic = TopicType(_name(about["name"]), ros2_type(_name(about["type"])))
            counts[topic] = counts.get(topic, 0) + int(entry["message_count"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MetadataError(f"{NAME} is not in the format of rosbag2 ({error!r:.100})") from error
    return BagMetadata(files, counts)


def _name(value: Any) -> str:
    """Return a name that is a string; other types could expand to a huge text."""
    if not isinstance(value, str):
        raise TypeError(f"a name is {type(value).__name__}, not a string")
    return value
