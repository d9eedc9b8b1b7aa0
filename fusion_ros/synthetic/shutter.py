# SPDX-License-Identifier: Apache-2.0
"""When a synthetic camera takes its pictures, and what it stamps on them."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np


@dataclass(frozen=True)
class Exposure:
    """One picture to be taken. `stamp_ns` is what the header says, `due_ns` when it is taken."""

    due_ns: int
    stamp_ns: int
    dropped: bool


class Shutter:
    """Opens at whole multiples of the period of the clock.

    So two cameras of the same rate are as good as triggered by one wire, without knowing of each
    other; `offset_ms` and `jitter_ms` take that away again.

    Args:
        rate_hz: pictures a second.
        offset_ms: constant error of the stamps; positive stamps are late.
        jitter_ms: standard deviation of a normal error of each stamp, cut at three.
        drop_ratio: share of pictures that are lost on the way, 0 to 1.
        seed: of jitter and loss; the same seed and ticks give the same stamps and losses.
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
        # Exact: a float holds today's nanoseconds to 256 ns only, and ticks would come twice.
        self._period_ns = 10**9 / Fraction(rate_hz).limit_denominator(10**6)
        self._offset_ns = offset_ms * 1e6
        self._jitter_ns = jitter_ms * 1e6
        self._drop_ratio = drop_ratio
        self._rng = np.random.default_rng(seed)

    def next_after(self, now_ns: int) -> Exposure:
        """The first picture due strictly later than `now_ns`."""
        tick = now_ns // self._period_ns
        while (due := round(tick * self._period_ns)) <= now_ns:
            tick += 1
        error, luck = self._rng.normal(), self._rng.random()
        jitter = self._jitter_ns * min(3.0, max(-3.0, error))
        return Exposure(due, due + round(self._offset_ns + jitter), bool(luck < self._drop_ratio))
