# SPDX-License-Identifier: Apache-2.0
"""Opening of a recording of any kind from a path."""

from __future__ import annotations

from pathlib import Path

from fusion_ros.recordings.bags.bag_folder import ENDINGS, is_bag_file, is_bag_folder
from fusion_ros.recordings.bags.recording import BagRecording
from fusion_ros.recordings.file_pairs import files_below
from fusion_ros.recordings.image_recordings import open_files
from fusion_ros.recordings.matching import DEFAULT_MATCHING, Matching
from fusion_ros.recordings.recording import Recording, RecordingError


def is_bag(path: Path) -> bool:
    """Whether a path is a bag, by its suffix or its content."""
    return is_bag_folder(path) if path.is_dir() else is_bag_file(path)


def open_recording(
    path: Path | None,
    *,
    partner: Path | None = None,
    visible_topic: str | None = None,
    thermal_topic: str | None = None,
    rate_hz: float | None = None,
    matching: Matching = DEFAULT_MATCHING,
) -> Recording:
    """Open a bag, or matched images or videos.

    Args:
        path: a bag (folder or file), a folder of both cameras, or the visible file or folder; None
            with `matching.pairs`.
        partner: the thermal file or folder, where `path` is the visible one.
        visible_topic, thermal_topic: topics of a bag; by default chosen by name and type.
        rate_hz: frame rate of images without time stamps, and of videos that do not state one.
        matching: see `find_pairs`.

    Raises:
        RecordingError: the path is no recording; the message names the file and the remedy.
    """
    if path is None or partner is not None or matching.pairs is not None:
        return open_files(path, partner, rate_hz, matching)
    if not path.exists():
        raise RecordingError(f"{path} does not exist")
    if is_bag(path):
        return BagRecording(path, visible_topic, thermal_topic)
    files = files_below(path, matching.without) if path.is_dir() else [path]
    if any(file.suffix.lower() in matching.suffixes for file in files):
        return open_files(path, None, rate_hz, matching)
    raise RecordingError(
        f"{path} is no recording: allowed are a bag ({', '.join(ENDINGS)} or a folder with "
        f"metadata.yaml), a folder of both cameras, and files of {', '.join(matching.suffixes)}"
    )
