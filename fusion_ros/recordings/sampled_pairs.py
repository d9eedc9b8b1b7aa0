# SPDX-License-Identifier: Apache-2.0
"""Evenly sampled pairs of a recording of any kind."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fusion_ros.imaging.colour import luma
from fusion_ros.imaging.encodings import EncodingError, PixelFrame
from fusion_ros.imaging.pair_check import DOUBT_TEXTS, PairDoubt, input_doubts
from fusion_ros.recordings.image_files import check_visible
from fusion_ros.recordings.matching import DEFAULT_MATCHING, Matching
from fusion_ros.recordings.opening import open_recording
from fusion_ros.recordings.recording import RecordedFrame
from fusion_ros.streams.ledger import FrameLedger, Stream
from fusion_ros.streams.pairer import FramePairer, Pair


def read_pairs(path: Path | None, **options: Any) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Return the pairs of `recorded_pairs` in grey: name, visible `uint8`, thermal as stored."""
    return [
        (name, _grey(visible), _grey(thermal))
        for name, visible, thermal in recorded_pairs(path, **options)
    ]


def _grey(frame: PixelFrame) -> np.ndarray:
    return np.array(luma(frame.pixels, order=frame.order))


def recorded_pairs(
    path: Path | None,
    *,
    most: int = 32,
    matching: Matching = DEFAULT_MATCHING,
    progress: Callable[[str], None] = lambda text: None,
    report: Callable[[str], None] = lambda text: None,
    **source: Any,
) -> Iterator[tuple[str, PixelFrame, PixelFrame]]:
    """Yield up to `most` pairs, evenly distributed: name, visible frame, thermal frame.

    Args:
        path, source: see `open_recording`.
        most: largest number of pairs.
        matching: see `open_recording`; its tolerance holds for the stamps of a bag, too.
        progress: receives a line for each pair.
        report: receives lines about the pairing and about frames that are left out.

    Raises:
        RecordingError: the paths cannot be read as a recording, or matched.
    """
    recording = open_recording(path, matching=matching, **source)
    report(recording.identity.choice)
    for doubt in recording.identity.doubts:
        report(f"doubtful: {doubt}")
    with contextlib.closing(recording):
        expected = min(map(recording.identity.messages, Stream)) or most
        every = max(1, -(-expected // most))
        tolerance_ns = 0 if recording.identity.is_matched else round(matching.tolerance_ms * 1e6)
        doubts: Counter[PairDoubt] = Counter()
        read = 0
        pairs = paired_frames(recording.frames(), tolerance_ns, report)
        for number, pair in enumerate(pairs):
            if number % every:
                continue
            progress(f"pair {number + 1}")
            try:
                frames = pair.visible.read(), pair.thermal.read()
                check_visible(frames[0], pair.visible.name or pair.visible.encoding)
            except EncodingError as error:
                report(f"pair {number + 1} is left out: {error}")
                continue
            doubts.update(input_doubts(*frames))
            read += 1
            name = Path(pair.visible.name).stem or f"frame {pair.visible.index}"
            yield name, *frames
        for doubt, count in doubts.items():
            report(f"doubtful: {DOUBT_TEXTS[doubt]} ({count} of {read} pairs)")
        for damage in recording.damage:
            report(f"{damage.file}: {damage.what}")


def paired_frames(
    frames: Iterable[RecordedFrame],
    tolerance_ns: int,
    report: Callable[[str], None] = lambda text: None,
) -> Iterator[Pair[RecordedFrame]]:
    """Yield the pairs nearest in time, by the pairing rule of the fuse node.

    `report` receives a line for each frame without a stamp.
    """
    pairer: FramePairer[RecordedFrame] = FramePairer(
        tolerance_ns=tolerance_ns, ledger=FrameLedger()
    )
    for frame in frames:
        if frame.stamp_ns is not None:
            yield from pairer.add(frame.stream, frame.stamp_ns, frame)
            continue
        why = "it has no stamp"
        try:
            frame.read()
        except EncodingError as error:
            why = str(error)
        report(f"{frame.stream.value} frame {frame.index} is left out: {why}")
    yield from pairer.flush()
