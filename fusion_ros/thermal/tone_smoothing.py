# SPDX-License-Identifier: Apache-2.0
"""Smoothing of the tone curve over time: slow within a scene, fast at a change of scene."""

from __future__ import annotations

import math

import numpy as np

from fusion_ros.thermal.region import sampled
from fusion_ros.thermal.tone_curve import Distribution

_BODY = np.linspace(0.1, 0.8, 8)
"""Shares of the distribution that identify a scene. One hot object hardly moves them: up to a tenth
of the image may turn hot, and more than that may turn cold."""
_QUICK_S = 0.1
_SAMPLED = 1300
"""Number of pixels compared to detect a change of scene before a frame is mapped."""


class CurveSmoother:
    """Moves a curve towards its target with a time constant, at any frame rate."""

    def __init__(self, smoothing_s: float, scene_change: float) -> None:
        self.smoothing_s = smoothing_s
        self.scene_change = scene_change
        self.reset()

    def reset(self) -> None:
        """Discard the state: the next target is used unchanged."""
        self._stamp_ns: int | None = None
        self._curve: np.ndarray | None = None
        self._body: np.ndarray | None = None
        self._target: tuple[np.ndarray, np.ndarray] | None = None
        self._sampled_body: np.ndarray | None = None

    def continues(
        self, thermal: np.ndarray, stamp_ns: int | None, mask: np.ndarray | None = None
    ) -> bool:
        """Return whether a frame shows the scene of the previous one, so that its target holds.

        Samples about 1300 pixels, of those only the ones in the mask.
        """
        if stamp_ns is None or self.smoothing_s == 0:
            return False
        sample = np.sort(sampled(thermal, _SAMPLED, mask))
        body = sample[(_BODY * sample.size).astype(int)].astype(float)
        before, self._sampled_body = self._sampled_body, body
        if before is None or self._elapsed_s(stamp_ns) is None:
            return False
        shift = float(np.abs(body - before).mean())
        return self.scene_change == 0 or shift <= self.scene_change * self._range_in_use()

    def set_target(self, target: np.ndarray, found: Distribution) -> None:
        """Use this curve, of a frame with this distribution, as the new target."""
        self._target = target, found.quantiles(_BODY)

    def at(self, stamp_ns: int | None) -> np.ndarray:
        """Return the curve for a frame at `stamp_ns`; a clock that jumps back resets it."""
        assert self._target is not None, "set_target comes first"
        target, body = self._target
        if stamp_ns is None or self.smoothing_s == 0:
            return target
        elapsed_s = self._elapsed_s(stamp_ns)
        if elapsed_s is None or self._curve is None or self._body is None:
            self._curve, self._body = target, body
        else:
            time_constant_s = self._time_constant_s(float(np.abs(body - self._body).mean()))
            share = 1 - math.exp(-elapsed_s / time_constant_s)
            # Limit the speed of a distant limit to half the range in use per time constant.
            speed = 0.5 * self._range_in_use() / time_constant_s
            distance = float(np.abs(target - self._curve).max())
            share = min(share, speed * elapsed_s / max(distance, 1e-9))
            self._curve = self._curve + share * (target - self._curve)
            self._body = self._body + share * (body - self._body)
        self._stamp_ns = stamp_ns
        return self._curve

    def _elapsed_s(self, stamp_ns: int) -> float | None:
        """Return the time since the previous curve; None without one, or if it is later."""
        if self._stamp_ns is None or stamp_ns < self._stamp_ns:
            return None
        return (stamp_ns - self._stamp_ns) * 1e-9

    def _range_in_use(self) -> float:
        """Return the range of values that the curve spans."""
        assert self._curve is not None, "a curve has a stamp"
        return max(float(self._curve[-1] - self._curve[0]), 1e-9)

    def _time_constant_s(self, body_shift: float) -> float:
        """Return the time constant for a frame whose distribution has shifted that far."""
        shift = body_shift / self._range_in_use()
        if self.scene_change == 0 or shift <= self.scene_change:
            return self.smoothing_s
        if shift > 5 * self.scene_change:
            return 1e-9
        return min(_QUICK_S, self.smoothing_s)
