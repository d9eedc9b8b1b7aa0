# SPDX-License-Identifier: Apache-2.0
"""Tell a thermal camera that is stuck from one that has nothing new to show.

Pictures that repeat bit for bit prove nothing by themselves: a 9 Hz sensor behind a 30 Hz driver
repeats each picture, and a simulated sensor without noise repeats its picture as long as the robot
is parked. So a camera counts as frozen only if its picture repeats for longer than allowed, and

- it is known to have noise: while the visible view stood still, its pictures kept differing all
  over, as those of every real sensor do; or
- the visible view changed as a whole meanwhile, as it does when the robot moves. Noise, exposure
  and things that move through the view are no such change.
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
"""A view moved where so many of its blocks changed by that share of the blocks' spread, in grey
levels at least and at most."""
_STILL_LEVELS, _STILL_SHARE = 3.0, 0.25
"""A view stands still where fewer of its blocks changed by so much."""
_STILL_NS = 1_000_000_000
_FLAT_LEVELS = 2.0
"""A view whose blocks spread less shows neither movement nor standstill (darkness, fog)."""
_PERIODS = 3.0
"""A picture that repeats for less than so many usual periods of new pictures is no standstill."""
_GAPS, _LONGEST_PERIOD_NS = 9, 10_000_000_000


class FreezeDetector:
    """Judges the thermal stream; both streams' frames are shown to it.

    All times are of one monotonic clock, in nanoseconds; in a replay the recorded one.

    Args:
        after_ms: how long a picture may repeat; 0 switches the judgement off. May be set anew.
    """

    def __init__(self, after_ms: float) -> None:
        self.after_ms = after_ms
        self.restart()

    def restart(self) -> None:
        """Forget all, as after a pause or a change of format."""
        self.is_frozen = False
        self.has_noise = False
        """Whether the thermal stream is known to have noise."""
        self._view: np.ndarray | None = None
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
        """Look at a visible frame. A few a second will do; a look takes 0.2 ms."""
        self._viewed_ns = now_ns
        self._view = view = _blocks(pixels)
        if self._view_at_change is None or _is_flat(self._view_at_change):
            self._view_at_change = view  # no movement can be seen against a flat view
        elif not self._moved:
            levels = float(np.clip(_MOVED_SPREADS * view.std(), *_MOVED_LEVELS))
            changed = _changed_share(self._view_at_change, view, levels)
            self._moved = changed > _MOVED_SHARE
        still = self._still_view is not None and not _is_flat(view)
        if not still or _changed_share(self._still_view, view, _STILL_LEVELS) > _STILL_SHARE:
            self._still_view, self._still_since_ns = view, now_ns

    def see_thermal(self, pixels: np.ndarray, now_ns: int, *, repeated: bool) -> bool:
        """Take a thermal frame. Return whether the camera is frozen.

        Args:
            pixels: kept until the next new one, not copied.
            now_ns: when it came.
            repeated: whether it equals the frame before, bit for bit.
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
        """Look for noise in the newest two different thermal frames; as often as above."""
        now_ns, before = self._changed_ns, self._before
        if self.has_noise or now_ns is None or now_ns == self._examined_ns:
            return
        self._examined_ns = now_ns
        if before is None or not _differs_all_over(before, self._thermal):
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
    """Mean grey levels of 8x6 blocks, from 80x60 pixels."""
    height, width = pixels.shape[:2]
    rows, columns = max(1, height // _SAMPLES[1]), max(1, width // _SAMPLES[0])
    sample = np.ascontiguousarray(pixels[rows // 2 :: rows, columns // 2 :: columns])
    if sample.ndim == 3:
        sample = cv2.cvtColor(sample, cv2.COLOR_RGB2GRAY)
    return cv2.resize(sample.astype(np.float32), _GRID, interpolation=cv2.INTER_AREA)


def _is_flat(view: np.ndarray) -> bool:
    return float(view.std()) < _FLAT_LEVELS


def _changed_share(before: np.ndarray, after: np.ndarray, levels: float) -> float:
    """Share of blocks that changed, but for the exposure (one factor and one offset for all).

    Factor and offset are medians, so that a person who walks past has no effect on them.
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
    """Whether over half of all pixels changed, of some thousand."""
    if before.shape != after.shape or before.dtype != after.dtype:
        return False
    rows, columns = (max(1, side // n) for side, n in zip(after.shape[:2], (30, 40), strict=True))
    return bool((before[::rows, ::columns] != after[::rows, ::columns]).mean() > 0.5)
