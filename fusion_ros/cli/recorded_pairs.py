# SPDX-License-Identifier: Apache-2.0
"""Some grey pairs out of any recording: folders, videos, or a bag."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from fusion_ros.accounting import FrameLedger, Stream
from fusion_ros.cli.pictures import PICTURES, find_pairs, read_thermal, read_visible
from fusion_ros.imaging.colour import luma
from fusion_ros.imaging.encodings import EncodingError, PixelFrame
from fusion_ros.pairing import FramePairer, Pair
from fusion_ros.replay.opening import open_recording
from fusion_ros.replay.recording import RecordedFrame


def read_pairs(
    path: Path,
    *,
    partner: Path | None = None,
    visible_topic: str | None = None,
    thermal_topic: str | None = None,
    tolerance_ms: float = 20.0,
    most: int = 32,
    progress: Callable[[str], None] = lambda text: None,
) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Up to `most` pairs, evenly over the recording: name, visible grey `uint8`, thermal as it is.

    Damaged frames are left out. The pictures of two folders are paired by their names.

    Raises:
        InputError: pictures that cannot be paired or read.
        RecordingError: what `path` names cannot be read as a recording.
    """
    if partner is not None and _are_pictures(path, partner):
        return _from_pictures(path, partner, most)
    recording = open_recording(
        path, partner=partner, visible_topic=visible_topic, thermal_topic=thermal_topic
    )
    try:
        expected = recording.identity.messages(Stream.VISIBLE)
        every = max(1, -(-(expected or most) // most))
        pairer: FramePairer[RecordedFrame, RecordedFrame] = FramePairer(
            tolerance_ns=round(tolerance_ms * 1e6), ledger=FrameLedger()
        )
        found: list[tuple[str, np.ndarray, np.ndarray]] = []
        decided = 0
        for frame in recording.frames():
            if frame.stamp_ns is None:
                continue
            visible = frame.stream is Stream.VISIBLE
            add = pairer.add_visible if visible else pairer.add_thermal
            for pair in add(frame.stamp_ns, frame):
                decided += 1
                if (decided - 1) % every == 0:
                    progress(f"pair {decided}")
                    _keep(pair, found)
        for pair in pairer.flush():
            decided += 1
            if (decided - 1) % every == 0:
                _keep(pair, found)
    finally:
        recording.close()
    return found


def _keep(
    pair: Pair[RecordedFrame, RecordedFrame], found: list[tuple[str, np.ndarray, np.ndarray]]
) -> None:
    try:
        visible, thermal = pair.visible.read(), pair.thermal.read()
    except EncodingError:
        return
    found.append((f"frame {pair.visible.index}", _grey_of(visible), _grey_of(thermal)))


def _grey_of(frame: PixelFrame) -> np.ndarray:
    return np.array(luma(frame.pixels, order=frame.order))


def _are_pictures(visible: Path, thermal: Path) -> bool:
    if visible.is_dir() and thermal.is_dir():
        return True
    return all(p.suffix.lower() in PICTURES for p in (visible, thermal))


def _from_pictures(
    visible: Path, thermal: Path, most: int
) -> list[tuple[str, np.ndarray, np.ndarray]]:
    found = [pair for pair in find_pairs(visible, thermal).pairs if not pair.is_video]
    every = max(1, -(-len(found) // most))
    return [
        (
            pair.visible.stem,
            luma(read_visible(pair.visible), order="bgr"),
            read_thermal(pair.thermal),
        )
        for pair in found[::every]
    ]
