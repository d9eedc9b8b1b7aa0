# SPDX-License-Identifier: Apache-2.0
"""The tone curve over time: calm while the scene is the same, quick when it is another one."""

from __future__ import annotations

import math

import numpy as np

from fusion_ros.thermal.tone_curve import Distribution

_BODY = np.linspace(0.1, 0.8, 8)
"""Shares of the distribution that tell one scene from another. One hot object hardly moves them:
up to a tenth of the picture may turn hot, and more than that may turn cold."""
_QUICK_S = 0.1
_GLANCED_AT = 1300
"""Pixels that tell whether a frame must be looked at in earnest before it is mapped."""


class CurveSmoother:
    """Lets a curve follow its target with a time constant, whatever the frame rate is."""

    def __init__(self, smoothing_s: float, scene_change: float) -> None:
        self.smoothing_s = smoothing_s
        self.scene_change = scene_change
        self.reset()

    def reset(self) -> None:
        """Forget: the next target is taken as it is."""
        self._stamp_ns: int | None = None
        self._curve: np.ndarray | None = None
        self._body: np.ndarray | None = None
        self._target: tuple[np.ndarray, np.ndarray] | None = None
        self._glance: np.ndarray | None = None

    def goes_on(self, thermal: np.ndarray, stamp_ns: int | None) -> bool:
        """Whether a frame shows the scene of the one before, so that its target may serve here.

        Looks at about 1300 pixels.
        """
        if stamp_ns is None or self.smoothing_s == 0:
            return False
        step = max(1, round((thermal.size / _GLANCED_AT) ** 0.5))
        sample = np.sort(thermal[step // 2 :: step, step // 2 :: step], axis=None)
        before, self._glance = self._glance, sample[(_BODY * sample.size).astype(int)].astype(float)
        if before is None or not self._follows(stamp_ns):
            return False
        shift = float(np.abs(self._glance - before).mean())
        return self.scene_change == 0 or shift <= self.scene_change * self._in_use()

    def aim(self, target: np.ndarray, found: Distribution) -> None:
        """Go for this curve, of a frame with this distribution, from now on."""
        self._target = target, found.quantiles(_BODY)

    def at(self, stamp_ns: int | None) -> np.ndarray:
        """The curve to use for a frame at `stamp_ns`. A clock that jumps back starts afresh."""
        target, body = self._target
        if stamp_ns is None or self.smoothing_s == 0:
            return target
        if not self._follows(stamp_ns):
            self._curve, self._body = target, body
        else:
            elapsed_s = (stamp_ns - self._stamp_ns) * 1e-9
            time_constant_s, in_use = self._pace(body), self._in_use()
            share = 1 - math.exp(-elapsed_s / time_constant_s)
            # A limit that has far to go must not race: half the range in use per time constant.
            way = float(np.abs(target - self._curve).max())
            share = min(share, 0.5 * in_use * elapsed_s / time_constant_s / max(way, 1e-9))
            self._curve = self._curve + share * (target - self._curve)
            self._body = self._body + share * (body - self._body)
        self._stamp_ns = stamp_ns
        return self._curve

    def _follows(self, stamp_ns: int) -> bool:
        return self._stamp_ns is not None and stamp_ns >= self._stamp_ns

    def _in_use(self) -> float:
        """The range of values that the curve uses now."""
        return max(float(self._curve[-1] - self._curve[0]), 1e-9)

    def _pace(self, body: np.ndarray) -> float:
        """The time constant for this frame."""
        shift = float(np.abs(body - self._body).mean()) / self._in_use()
        if self.scene_change == 0 or shift <= self.scene_change:
            return self.smoothing_s
        if shift > 5 * self.scene_change:
            return 1e-9
        return min(_QUICK_S, self.smoothing_s)
