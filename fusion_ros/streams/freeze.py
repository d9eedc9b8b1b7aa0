# SPDX-License-Identifier: Apache-2.0
"""Detection of a thermal camera that is stuck.

Images that repeat bit for bit are no proof. A 9 Hz sensor behind a 30 Hz driver repeats each image,
and a simulated sensor without noise repeats its image while the robot is parked. A camera counts as
frozen only if its image repeats for longer than allowed and one of these conditions holds:

- It has noise: its images differed everywhere while the visible view stood still, as those of every
  real sensor do.
- The visible view changed as a whole meanwhile, as it does when the robot moves. Noise, exposure
  and objects that move through the view do not count as such a change.
"""

from __future__ import annotations

from collections import deque
from statistics import median

import cv2
import numpy as np

_GRID = (8, 6)
_SAMPLES = (80, 60)
"""Width and height of the grid of blocks, and of the pixels that are sampled for it."""
_PAIRS = np.triu_indices(_GRID[0] * _GRID[1], k=1)
_MOVED_SPREADS, _MOVED_LEVELS, _MOVED_SHARE = 0.4, (2.5, 6.0), 0.6
"""A view moved if this share of its blocks changed by this share of their spread. The change is
limited to a range of grey levels."""
_STILL_LEVELS, _STILL_SHARE = 3.0, 0.25
"""A view stands still if a smaller share of its blocks changed by this many grey levels."""
_STILL_NS = 1_000_000_000
_FLAT_LEVELS = 2.0
"""A view with less spread shows neither movement nor standstill (darkness, fog)."""
_PERIODS = 3.0
"""An image may repeat for this many usual periods of new images."""
_GAPS, _LONGEST_PERIOD_NS = 9, 10_000_000_000


class FreezeDetector:
    """Evaluates the thermal stream from the frames of both streams.

    All times are of one monotonic clock, in nanoseconds; in a replay the recorded one.

    Args:
        after_ms: allowed time of repetition; 0 disables the detection. May be set at any time.
    """

    def __init__(self, after_ms: float) -> None:
        self.after_ms = after_ms
        self.restart()

    def restart(self) -> None:
        """Reset, as after a pause or a change of format."""
        self.is_frozen = False
        self.has_noise = False
        """Whether noise was seen in the thermal stream."""
        self._viewed_ns: int | None = None
        self._still_view: np.ndarray | None = None
        self._still_since_ns = 0
        self._all_over_since_ns: int | None = None
        self._view_at_change: np.ndarray | None = None
        self._moved = False
        self._before: np.ndarray | None = None
        self._thermal: np.ndarray | None = None
        self._examined_ns: int | None = None
        self._changed_ns: int | None = None
        self._gaps_ns: deque[int] = deque(maxlen=_GAPS)

    def examine_visible(self, pixels: np.ndarray, now_ns: int) -> None:
        """Examine a visible frame; a few each second are enough. It takes 0.2 ms."""
        self._viewed_ns = now_ns
        view = _blocks(pixels)
        if self._view_at_change is None or _is_flat(self._view_at_change):
            self._view_at_change = view  # no movement can be seen against a flat view
        elif not self._moved:
            levels = float(np.clip(_MOVED_SPREADS * view.std(), *_MOVED_LEVELS))
            self._moved = _changed_share(self._view_at_change, view, levels) > _MOVED_SHARE
        still = self._still_view
        moves = still is None or _changed_share(still, view, _STILL_LEVELS) > _STILL_SHARE
        if moves or _is_flat(view):
            self._still_view, self._still_since_ns = view, now_ns

    def add_thermal(self, pixels: np.ndarray, now_ns: int, *, repeated: bool) -> bool:
        """Take a thermal frame and return whether the camera is frozen.

        `repeated`: it equals the frame before, bit for bit. `pixels` are kept until the next new
        frame, not copied.
        """
        if repeated and self._changed_ns is not None:
            for_ns = now_ns - self._changed_ns
            usual_ns = min(median(self._gaps_ns), _LONGEST_PERIOD_NS) if self._gaps_ns else 0
            longest_ns = max(self.after_ms * 1e6, _PERIODS * usual_ns)
            beyond = self.after_ms > 0 and for_ns > longest_ns
            self.is_frozen = beyond and (self.has_noise or self._moved)
            return self.is_frozen
        if self._changed_ns is not None and now_ns > self._changed_ns:
            self._gaps_ns.append(now_ns - self._changed_ns)
        self._before, self._thermal, self._changed_ns = self._thermal, pixels, now_ns
        self._view_at_change, self._moved, self.is_frozen = None, False, False
        return False

    def examine_thermal(self) -> None:
        """Search the newest two different thermal frames for noise; as often as visible ones."""
        now_ns, before, thermal = self._changed_ns, self._before, self._thermal
        if self.has_noise or now_ns is None or now_ns == self._examined_ns:
            return
        self._examined_ns = now_ns
        if before is None or thermal is None or not _differs_all_over(before, thermal):
            self._all_over_since_ns = None
            return
        if self._all_over_since_ns is None:
            self._all_over_since_ns = now_ns
        if self._still_view is None or _is_flat(self._still_view):
            return
        begin_ns = max(self._all_over_since_ns, self._still_since_ns)
        looked = self._viewed_ns is not None and now_ns - self._viewed_ns < _STILL_NS
        self.has_noise = looked and now_ns - begin_ns >= _STILL_NS


def _blocks(pixels: np.ndarray) -> np.ndarray:
    """Return the mean grey levels of 8x6 blocks, from 80x60 pixels."""
    height, width = pixels.shape[:2]
    rows, columns = max(1, height // _SAMPLES[1]), max(1, width // _SAMPLES[0])
    sample = np.ascontiguousarray(pixels[rows // 2 :: rows, columns // 2 :: columns])
    if sample.ndim == 3:
        sample = cv2.cvtColor(sample, cv2.COLOR_RGB2GRAY)
    return cv2.resize(sample.astype(np.float32), _GRID, interpolation=cv2.INTER_AREA)


def _is_flat(view: np.ndarray) -> bool:
    return float(view.std()) < _FLAT_LEVELS


def _changed_share(before: np.ndarray, after: np.ndarray, levels: float) -> float:
    """Return the share of blocks that changed, apart from exposure (one factor and one offset).

    Factor and offset are medians, so that a passing person has no effect on them.
    """
    if _is_flat(before) or _is_flat(after):
        return 0.0
    first, second = before.reshape(-1), after.reshape(-1)
    runs = (first[_PAIRS[0]] - first[_PAIRS[1]], second[_PAIRS[0]] - second[_PAIRS[1]])
    sloped = np.abs(runs[0]) > 1.0
    factor = float(np.median(runs[1][sloped] / runs[0][sloped])) if sloped.any() else 1.0
    rest = second - factor * first
    return float((np.abs(rest - np.median(rest)) > levels).mean())


def _differs_all_over(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether over half of some thousand sampled pixels changed."""
    if before.shape != after.shape or before.dtype != after.dtype:
        return False
    rows, columns = (max(1, side // n) for side, n in zip(after.shape[:2], (30, 40), strict=True))
    return bool((before[::rows, ::columns] != after[::rows, ::columns]).mean() > 0.5)
