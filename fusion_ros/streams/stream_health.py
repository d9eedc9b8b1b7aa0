# SPDX-License-Identifier: Apache-2.0
"""Health of one stream: silent, frozen or blind.

A camera is silent when no frame arrives. It is frozen when the same image repeats (a stuck driver,
or a shutter that closes while the old image is repeated). It is blind when its frames have no
content (a closed shutter).
"""

from __future__ import annotations

import dataclasses
from collections import deque
from statistics import median

import numpy as np

from fusion_ros.outside_text import printable

FLAT_SHARE = 0.1
"""A frame is flat when its spread is below this share of the stream's usual spread."""
LONGEST_SHUTTER_S = 5.0
"""Frames that are flat for longer show the scene and no shutter."""
_KNOWN_AFTER_S = 0.25
"""The usual spread is known after this time without flat frames."""
_STORED_S = 2.0
"""The usual spread is the median over this time, or over the newest frames of a slow stream."""
_STORE_EVERY_NS = 100_000_000
"""Interval of stored spreads. A median of more of them takes 0.03 ms before pairing."""
_FEWEST_SPREADS = 3
_MOST_SPREADS = 512
_GAPS = 9
"""Number of gaps for the median period."""
_PERIODS = 2.5
"""A stream is lost after this many usual periods, if they are longer than the timeout."""
_LONGEST_PERIOD_S = 10.0
_GRID = 16


@dataclasses.dataclass(frozen=True)
class FrameFormat:
    """Size and encoding of a stream's frames."""

    width: int
    height: int
    encoding: str

    def __str__(self) -> str:
        return f"{self.width}x{self.height} {printable(self.encoding, 60)}"


class StreamWatch:
    """Health of one stream. All times are of one monotonic clock, in nanoseconds.

    Args:
        started_ns: silence is counted from here until the first frame comes.
        detect_flat: whether to detect frames without content (thermal cameras have shutters).
    """

    def __init__(self, started_ns: int, *, detect_flat: bool = True) -> None:
        self._detect_flat = detect_flat
        self.repeated = 0
        """Frames so far with the same pixels as the frame before."""
        self.flat = 0
        """Frames so far without content (a closed shutter)."""
        self.frozen = False
        """Whether the image is stuck; set by `streams.intake`."""
        self.restart(started_ns)

    def restart(self, now_ns: int) -> None:
        """Reset all but the counts, as after a pause."""
        self._arrived_ns = now_ns
        self._changed_ns = now_ns
        self._content_ns = now_ns
        self.frozen = False
        self._format: FrameFormat | None = None
        self._previous: np.ndarray | None = None
        self._spreads: deque[tuple[int, float]] = deque(maxlen=_MOST_SPREADS)
        self._gaps_ns: deque[int] = deque(maxlen=_GAPS)
        self._usual_ms = 0.0
        self._has_image = False
        self._flat_since_ns: int | None = None

    def silent_for_ms(self, now_ns: int) -> float:
        """Return the time since the last frame."""
        return (now_ns - self._arrived_ns) / 1e6

    def timeout_ms(self, configured_ms: float) -> float:
        """Return the timeout of the stream: as configured, but at least 2.5 of its usual periods.

        So a camera of 1 Hz is not lost between two of its frames.
        """
        return max(configured_ms, _PERIODS * self._usual_ms)

    def blind_for_ms(self, now_ns: int) -> float:
        """Return the time since the last frame with content."""
        return (now_ns - self._content_ns) / 1e6

    def format_change(self, new: FrameFormat) -> tuple[FrameFormat, FrameFormat] | None:
        """Return the old and new format where a frame differs from the one before, else None."""
        old, self._format = self._format, new
        return (old, new) if old is not None and old != new else None

    def examine(self, pixels: np.ndarray, now_ns: int) -> bool:
        """Examine a frame and return whether it has content.

        A repeated frame has content (a 9 Hz sensor behind a 30 Hz driver repeats each image), a
        flat one has not. `pixels`, HxW or HxWx3, are kept until the next frame, not copied.
        """
        self._arrived_ns = now_ns
        previous, self._previous = self._previous, pixels
        if previous is not None and _same(previous, pixels):
            self.repeated += 1
            has_content = self._flat_since_ns is None
            self._content_ns = now_ns if has_content else self._content_ns
            return has_content
        if self._detect_flat and self._is_flat(pixels, now_ns):
            self.flat += 1
            return False
        if self._has_image:
            self._add_gap(now_ns - self._changed_ns)
        self._has_image = True
        self._changed_ns = self._content_ns = now_ns
        return True

    def _add_gap(self, gap_ns: int) -> None:
        self._gaps_ns.append(gap_ns)
        usual_ns = median(self._gaps_ns) if len(self._gaps_ns) > 2 else min(self._gaps_ns)
        self._usual_ms = min(usual_ns / 1e6, _LONGEST_PERIOD_S * 1e3)

    def _is_flat(self, pixels: np.ndarray, now_ns: int) -> bool:
        spread, usual = _spread(pixels), self._usual_spread()
        if usual is None or spread > FLAT_SHARE * usual:
            self._flat_since_ns = None
            if spread > 0.0:
                self._store(spread, now_ns)
            return False
        if self._flat_since_ns is None:
            self._flat_since_ns = now_ns
        if (now_ns - self._flat_since_ns) / 1e9 > LONGEST_SHUTTER_S and spread > 0.0:
            self._spreads.clear()  # the scene itself is flat
            self._flat_since_ns = None
            return False
        return True

    def _store(self, spread: float, now_ns: int) -> None:
        if self._spreads and 0 <= now_ns - self._spreads[-1][0] < _STORE_EVERY_NS:
            return
        self._spreads.append((now_ns, spread))
        old_ns = now_ns - int(_STORED_S * 1e9)
        while len(self._spreads) > _FEWEST_SPREADS and self._spreads[0][0] < old_ns:
            self._spreads.popleft()

    def _usual_spread(self) -> float | None:
        """Return the usual spread; None if it is not known yet."""
        stored = self._spreads
        if len(stored) < _FEWEST_SPREADS or stored[-1][0] - stored[0][0] < _KNOWN_AFTER_S * 1e9:
            return None
        return median(spread for _, spread in stored)


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether all pixels are equal. Two images of a camera differ in any row, by their noise."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    middle = a.shape[0] // 2
    # Bytes, since this runs between arrival and pairing: an array_equal there costs 30 us.
    return a[middle].tobytes() == b[middle].tobytes() and np.array_equal(a, b)


def _spread(pixels: np.ndarray) -> float:
    """Return the distance of the 5th from the 95th percentile on a coarse grid of pixels."""
    step = max(1, min(pixels.shape[:2]) // (2 * _GRID))
    sample = pixels[::step, ::step]
    if sample.dtype.kind == "f":
        sample = sample[np.isfinite(sample)]
    if sample.size == 0:
        return 0.0
    # np.percentile costs ten times as much, and this runs between arrival and pairing.
    ordered = np.sort(sample, axis=None)
    low, high = ordered[int(0.05 * (ordered.size - 1))], ordered[int(0.95 * (ordered.size - 1))]
    return float(high) - float(low)
