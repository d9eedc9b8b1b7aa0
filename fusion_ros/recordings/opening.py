# SPDX-License-Identifier: Apache-2.0
"""Opening of a recording of any kind from a path."""

from __future__ import annotations

from pathlib import Path

from fusion_ros.recordings.bags.bag_folder import ENDINGS, is_bag_file, is_bag_folder
from fusion_ros.recordings.bags.recording import BagRecording
from fusion_ros.recordings.image_files import VIDEOS
from fusion_ros.recordings.image_recordings import find_partner, open_pictures
from fusion_ros.recordings.matching import DEFAULT_TOLERANCE_MS
from fusion_ros.recordings.recording import Recording, RecordingError


def open_recording(
    path: Path,
    *,
    partner: Path | None = None,
    visible_topic: str | None = None,
    thermal_topic: str | None = None,
    rate_hz: float | None = None,
    by_order: bool = False,
    tolerance_ms: float = DEFAULT_TOLERANCE_MS,
) -> Recording:
    """Open a bag, a folder of pairs, or two videos.

    Args:
        path: a bag (folder or file), a folder with `vis` and `ir` in it, or the visible half.
        partner: the thermal folder or video, where `path` is the visible one.
        visible_topic, thermal_topic: topics of a bag; by default chosen by name and type.
        rate_hz: frame rate of images without time stamps in their names, and of videos that do not
            state one.
        by_order: match the images of two folders by position, see `match_files`.
        tolerance_ms: largest difference of two time stamps in names of images.

    Raises:
        RecordingError: the path is no recording; the message names the file and the remedy.
    """
    if partner is not None:
        return open_pictures(path, partner, rate_hz, by_order=by_order, tolerance_ms=tolerance_ms)
    if not path.exists():
        raise RecordingError(f"{path} does not exist")
    if is_bag_folder(path) if path.is_dir() else is_bag_file(path):
        return BagRecording(path, visible_topic, thermal_topic)
    halves = find_partner(path)
    if halves is not None:
        return open_pictures(*halves, rate_hz, by_order=by_order, tolerance_ms=tolerance_ms)
    if path.suffix.lower() in VIDEOS:
        raise RecordingError(
            f"{path} is one video, and there is no thermal video of the same name with _ir, "
            "_thermal, ... in place of _vis, _rgb, ...; name both with --thermal"
        )
    raise RecordingError(
        f"{path} is no recording: allowed are a bag ({', '.join(ENDINGS)} or a folder with "
        "metadata.yaml), a folder that holds vis/ and ir/, and NAME_vis.mp4 beside NAME_ir.mp4"
    )
