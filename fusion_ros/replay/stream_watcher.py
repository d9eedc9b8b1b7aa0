# SPDX-License-Identifier: Apache-2.0
"""Measurement of one stream: brightness, motion, gain jumps and formats."""

from __future__ import annotations

from collections import Counter, deque

import cv2
import numpy as np

from fusion_ros.imaging.encodings import ChannelOrder, PixelFrame
from fusion_ros.imaging.pair_check import shows_colours
from fusion_ros.replay.log import FrameEntry
from fusion_ros.streams.content import FaultChange
from fusion_ros.streams.intake import Observation
from fusion_ros.streams.stream_health import FrameFormat, StreamWatch

SMALL = (80, 60)
"""Width and height at which frames are compared, so that noise averages out."""
_SAME_SCENE = 0.9
"""Least correlation of two frames of one scene; below it, a change is no gain jump."""
_REMEMBERED_S = 2.0
"""Usual changes of grey are the median over this time, or over the newest three."""
_FEWEST_CHANGES = 3


class StreamWatcher:
    """Measures the frames of one stream in order. Holds one small frame; see `StreamWatch`."""

    def __init__(self, *, detect_flat: bool) -> None:
        self.watch = StreamWatch(0, detect_flat=detect_flat)
        self.formats: Counter[str] = Counter()
        self.format_changes: list[tuple[int, str, str]] = []
        self.frames = 0
        self.colourful = 0
        self.faults: list[tuple[int, FaultChange]] = []
        self.kinds: Counter[str] = Counter()
        self._before: np.ndarray | None = None
        self._changes: deque[tuple[int, float]] = deque(maxlen=512)

    def look(self, entry: FrameEntry, seen: Observation, encoding: str) -> None:
        """Measure a decoded frame into its entry; `seen` holds the measurements of the intake."""
        assert seen.pixels is not None
        pixels = seen.pixels.pixels
        height, width = pixels.shape[:2]
        if seen.format_change is not None:
            before, after = seen.format_change
            self.format_changes.append((entry.index, str(before), str(after)))
            self._before = None
        self.formats[str(FrameFormat(width, height, encoding))] += 1
        self.kinds[str(pixels.dtype)] += 1
        self.frames += 1
        self.colourful += shows_colours(pixels)
        small = _small(seen.pixels)
        entry.mean, entry.repeated = float(small.mean()), seen.repeated
        eight_bit = pixels.dtype == np.uint8
        entry.motion, jump = self._compare(small, entry.mean, eight_bit, entry.arrived_ns)
        entry.jump = jump if seen.has_content else 0.0
        self._before = small

    @property
    def is_colour(self) -> bool:
        """Whether most frames show colours (not grey stored in three channels)."""
        return self.frames > 0 and self.colourful > self.frames / 2

    def _compare(
        self, small: np.ndarray, mean: float, eight_bit: bool, arrived_ns: int
    ) -> tuple[float, float]:
        before = self._before
        spread = float(small.std())
        if before is None or before.shape != small.shape or spread <= 0:
            return 0.0, 0.0
        motion = float(np.abs(small - before).mean()) / spread
        x, y = before.reshape(-1) - before.mean(), small.reshape(-1) - mean
        energy = float(np.sqrt((x @ x) * (y @ y)))
        if energy <= 0 or float(x @ y) / energy < _SAME_SCENE:
            return motion, 0.0
        change = mean - float(before.mean())
        # Not the slope of a fitted line, which motion makes smaller.
        size = max(abs(change), abs(spread - float(before.std())))
        usual = self._usual_change(arrived_ns)
        least = 4.0 if eight_bit else 0.15 * spread
        is_jump = size > max(least, 5 * usual)
        if not is_jump:
            self._changes.append((arrived_ns, size))
        return motion, (change if abs(change) >= size / 2 else size) if is_jump else 0.0

    def _usual_change(self, arrived_ns: int) -> float:
        old_ns = arrived_ns - int(_REMEMBERED_S * 1e9)
        while len(self._changes) > _FEWEST_CHANGES and self._changes[0][0] < old_ns:
            self._changes.popleft()
        known = len(self._changes) >= _FEWEST_CHANGES
        return float(np.median([size for _, size in self._changes])) if known else 0.0


def _small(frame: PixelFrame) -> np.ndarray:
    """Return a frame as a small grey float image."""
    pixels = frame.pixels
    if pixels.ndim == 3:
        step = max(1, pixels.shape[0] // 240)
        code = cv2.COLOR_RGB2GRAY if frame.order is ChannelOrder.RGB else cv2.COLOR_BGR2GRAY
        pixels = cv2.cvtColor(np.ascontiguousarray(pixels[::step, ::step]), code)
    small = cv2.resize(pixels, SMALL, interpolation=cv2.INTER_AREA).astype(np.float32)
    return np.nan_to_num(small, nan=0.0, posinf=0.0, neginf=0.0)
