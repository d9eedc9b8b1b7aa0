# SPDX-License-Identifier: Apache-2.0
"""metadata.yaml of a ROS 2 bag: which files belong to it, and how many messages it counts."""

from __future__ import annotations

import dataclasses
from pathlib import Path, PurePosixPath
from typing import Any

from fusion_ros.files.limits import MAX_TEXT_BYTES
from fusion_ros.files.reading import FAST_LOADER, parse_yaml, read_bytes
from fusion_ros.recordings.bags.bag_file import TopicType, ros2_type

NAME = "metadata.yaml"


class MetadataError(ValueError):
    """A metadata.yaml that cannot be used. The files of the bag can be read without it."""


@dataclasses.dataclass(frozen=True)
class BagMetadata:
    """What reading needs of metadata.yaml.

    Attributes:
        files: names, in the order of recording.
        counts: messages by topic.
    """

    files: tuple[str, ...]
    counts: dict[TopicType, int]


def read_metadata(folder: Path) -> BagMetadata:
    """Read the metadata of a bag's folder.

    Everything but the two entries above is passed over: a storage, profile or QoS that is unknown
    here does not keep messages from being read.

    Raises:
        MetadataError: it is missing, too large, no YAML, or has not the form of rosbag2.
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
            topic = _topic(entry["topic_metadata"])
            counts[topic] = counts.get(topic, 0) + int(entry["message_count"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MetadataError(f"{NAME} has not the form of rosbag2 ({error!r:.100})") from error
    return BagMetadata(files, counts)


def _topic(entry: Any) -> TopicType:
    return TopicType(_name(entry["name"]), ros2_type(_name(entry["type"])))


def _name(value: Any) -> str:
    """A text and nothing else: the text of nested aliases could fill the memory."""
    if not isinstance(value, str):
        raise TypeError(f"a name is {type(value).__name__}, not a text")
    return value
