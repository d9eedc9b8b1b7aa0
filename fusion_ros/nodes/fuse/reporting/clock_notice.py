# SPDX-License-Identifier: Apache-2.0
"""Warning about stamps far from the node's clock."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from fusion_ros.streams.stamps import NS_PER_S

ABSURD_S = 3600.0
"""Distance from the node's clock that is logged: a wrong clock, or a recording without /clock."""

NOTICE_EVERY_S = 1.0
"""Period of the check; reading the ROS time takes 0.05 ms."""


class ClockNotice:
    """Warning, once, about a stream whose stamps are hours from the node's clock.

    `clock_ns` is the node's ROS clock, which follows `use_sim_time`.
    """

    def __init__(
        self,
        *,
        clock_ns: Callable[[], int],
        warn: Callable[[str], object],
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock_ns = clock_ns
        self._warn = warn
        self._monotonic_s = monotonic_s
        self._next_check_s = -math.inf

    def check(self, topic: str, stamp_ns: int) -> None:
        """Compare a stamp with the clock, at most once in `NOTICE_EVERY_S`."""
        now_s = self._monotonic_s()
        if now_s < self._next_check_s:
            return
        self._next_check_s = now_s + NOTICE_EVERY_S
        now_ns = self._clock_ns()
        if now_ns == 0:  # simulated time before the first message on /clock
            return
        apart_s = (stamp_ns - now_ns) / NS_PER_S
        if abs(apart_s) > ABSURD_S:
            self._next_check_s = math.inf
            direction = "ahead of" if apart_s > 0 else "behind"
            self._warn(
                f"{topic}: stamps are {abs(apart_s) / 3600:.1f} h {direction} this node's clock. "
                "For a recording, play it with --clock and set use_sim_time; for a live camera, "
                "check its clock. Frames are paired by their stamps nevertheless"
            )
