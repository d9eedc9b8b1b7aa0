# SPDX-License-Identifier: Apache-2.0
"""Some pairs out of any recording: folders, videos, or a bag."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fusion_ros.accounting import FrameLedger, Stream
from fusion_ros.cli.pictures import PICTURES, find_pairs, read_thermal, read_visible
from fusion_ros.imaging.colour import luma
from fusion_ros.imaging.encodings import ChannelOrder, EncodingError, PixelFrame
from fusion_ros.pairing import FramePairer, Pair
from fusion_ros.replay.opening import open_recording
from fusion_ros.replay.recording import RecordedFrame


def read_pairs(
    path: Path, *, partner: Path | None = None, **options: Any
) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """`recorded_pairs` in grey: name, visible `uint8`, thermal as it is."""
    return [
        (name, *(np.array(luma(frame.pixels, order=frame.order)) for frame in frames))
        for name, *frames in recorded_pairs(path, partner=partner, **options)
    ]


def recorded_pairs(
    path: Path,
    *,
    partner: Path | None = None,
    visible_topic: str | None = None,
    thermal_topic: str | None = None,
    tolerance_ms: float = 20.0,
    most: int = 32,
    progress: Callable[[str], None] = lambda text: None,
) -> Iterator[tuple[str, PixelFrame, PixelFrame]]:
    """Up to `most` pairs, evenly over the recording: name, visible frame, thermal frame.

    Damaged frames are left out. The pictures of two folders are paired by their names.

    Raises:
        InputError: pictures that cannot be paired or read.
        RecordingError: what `path` names cannot be read as a recording.
    """
    if partner is not None and _are_pictures(path, partner):
        yield from _from_pictures(path, partner, most)
        return
    recording = open_recording(
        path, partner=partner, visible_topic=visible_topic, thermal_topic=thermal_topic
    )
    try:
        expected = recording.identity.messages(Stream.VISIBLE)
        every = max(1, -(-(expected or most) // most))
        pairs = _paired(recording.frames(), tolerance_ns=round(tolerance_ms * 1e6))
        for number, pair in enumerate(pairs):
            if number % every:
                continue
            progress(f"pair {number + 1}")
            try:
                yield f"frame {pair.visible.index}", pair.visible.read(), pair.thermal.read()
            except EncodingError:
                continue
    finally:
        recording.close()


def _paired(
    frames: Iterable[RecordedFrame], tolerance_ns: int
) -> Iterator[Pair[RecordedFrame, RecordedFrame]]:
    pairer: FramePairer[RecordedFrame, RecordedFrame] = FramePairer(
        tolerance_ns=tolerance_ns, ledger=FrameLedger()
    )
    for frame in frames:
        if frame.stamp_ns is not None:
            visible = frame.stream is Stream.VISIBLE
            add = pairer.add_visible if visible else pairer.add_thermal
            yield from add(frame.stamp_ns, frame)
    yield from pairer.flush()


def _are_pictures(visible: Path, thermal: Path) -> bool:
    if visible.is_dir() and thermal.is_dir():
        return True
    return all(p.suffix.lower() in PICTURES for p in (visible, thermal))


def _from_pictures(
    visible: Path, thermal: Path, most: int
) -> Iterator[tuple[str, PixelFrame, PixelFrame]]:
    found = [pair for pair in find_pairs(visible, thermal).pairs if not pair.is_video]
    every = max(1, -(-len(found) // most))
    for pair in found[::every]:
        seen = read_visible(pair.visible)
        order = ChannelOrder.BGR if seen.ndim == 3 else ChannelOrder.GREY
        felt = PixelFrame(read_thermal(pair.thermal), ChannelOrder.GREY)
        yield pair.visible.stem, PixelFrame(seen, order), felt
