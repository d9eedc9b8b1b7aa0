# SPDX-License-Identifier: Apache-2.0
"""Exposure times and stamps of a synthetic camera."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np


@dataclass(frozen=True)
class Exposure:
    """One image: `due_ns` is the time of its exposure, `stamp_ns` the stamp in its header."""

    due_ns: int
    stamp_ns: int
    dropped: bool


class ExposureTimer:
    """Exposures at whole multiples of the period, by the clock.

    So two cameras of the same rate expose at the same times, as if triggered by one wire;
    `offset_ms` and `jitter_ms` add errors to the stamps.

    Args:
        rate_hz: frames per second.
        offset_ms: constant error of the stamps; positive: stamps are late.
        jitter_ms: standard deviation of a normal error of each stamp, clipped at three.
        drop_ratio: share of frames that are not published, 0 to 1.
        seed: seed of jitter and loss.
    """

    def __init__(
        self,
        rate_hz: float,
        *,
        offset_ms: float = 0.0,
        jitter_ms: float = 0.0,
        drop_ratio: float = 0.0,
        seed: int = 0,
    ) -> None:
        for name, value, allowed in (
            ("rate_hz", rate_hz, 0.01 <= rate_hz <= 1000),
            ("jitter_ms", jitter_ms, jitter_ms >= 0),
            ("drop_ratio", drop_ratio, 0 <= drop_ratio <= 1),
        ):
            if not allowed:
                limits = {"rate_hz": "0.01 to 1000", "jitter_ms": "0 or more"}.get(name, "0 to 1")
                raise ValueError(f"{name} is {value}, allowed is {limits}")
        # Exact: a float resolves present nanoseconds to 256 ns only, and ticks would repeat.
        self._period_ns = 10**9 / Fraction(rate_hz).limit_denominator(10**6)
        self._offset_ns = offset_ms * 1e6
        self._jitter_ns = jitter_ms * 1e6
        self._drop_ratio = drop_ratio
        self._rng = np.random.default_rng(seed)

    def next_after(self, now_ns: int) -> Exposure:
        """Return the first exposure due after `now_ns`."""
        tick = now_ns // self._period_ns
        while (due := round(tick * self._period_ns)) <= now_ns:
            tick += 1
        error, draw = self._rng.normal(), self._rng.random()
        jitter = self._jitter_ns * min(3.0, max(-3.0, error))
        return Exposure(due, due + round(self._offset_ns + jitter), bool(draw < self._drop_ratio))
