# SPDX-License-Identifier: Apache-2.0
"""When a frame was taken: its header's stamp, or its arrival for drivers that do not tell."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from builtin_interfaces.msg import Time

from fusion_ros.nodes.wire import WireHeader

NS_PER_S = 1_000_000_000
SOURCES = ("header", "arrival")
ABSURD_S = 3600.0
"""Stamps this far from the node's clock are told: a wrong clock, or a recording without time."""

NOTICE_EVERY_S = 1.0
"""Time from one look at that to the next: asking ROS for the time takes 0.05 ms."""


class StampError(ValueError):
    """A stamp that cannot be used; `reason` is a counter's name, the text tells the fix."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def to_time(stamp_ns: int) -> Time:
    """Nanoseconds as a message."""
    return Time(sec=stamp_ns // NS_PER_S, nanosec=stamp_ns % NS_PER_S)


class StampReader:
    """Gives each frame of one stream its time.

    Args:
        source: "header" or "arrival".
        clock_ns: the node's ROS clock (which follows `use_sim_time`).
        warn: takes one line of text, once.
        monotonic_s: a clock that always goes on.
    """

    def __init__(
        self,
        source: str,
        *,
        clock_ns: Callable[[], int],
        warn: Callable[[str], object],
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._clock_ns = clock_ns
        self._warn = warn
        self._told = False
        self._monotonic_s = monotonic_s
        self._next_look_s = -math.inf

    def read(self, topic: str, header: WireHeader) -> int:
        """The frame's time in nanoseconds.

        Raises:
            StampError: the stamp is zero or no time at all, or the node's own clock is.
        """
        if self._source == "arrival":
            now_ns = self._clock_ns()
            if now_ns == 0:
                raise StampError(
                    "no_clock",
                    "stamp_source is 'arrival' and use_sim_time is set, but nothing has come on "
                    "/clock yet: start the simulation, or play the recording with --clock",
                )
            return now_ns
        if header.sec == 0 and header.nanosec == 0:
            raise StampError(
                "zero_stamp",
                "header.stamp is zero: the driver does not fill it in. Set parameter stamp_source "
                "to 'arrival' to pair frames by their time of arrival",
            )
        if header.sec < 0 or header.nanosec >= NS_PER_S:
            raise StampError(
                "bad_stamp",
                f"header.stamp is {header.sec} s and {header.nanosec} ns; allowed are 0 s and "
                "more, and 0 to 999999999 ns",
            )
        stamp_ns = header.sec * NS_PER_S + header.nanosec
        now_s = self._monotonic_s()
        if now_s >= self._next_look_s:
            self._next_look_s = now_s + NOTICE_EVERY_S
            self._notice_absurd(topic, stamp_ns)
        return stamp_ns

    def _notice_absurd(self, topic: str, stamp_ns: int) -> None:
        if self._told:
            return
        now_ns = self._clock_ns()
        if now_ns == 0:  # simulated time, and nothing on /clock yet
            return
        apart_s = (stamp_ns - now_ns) / NS_PER_S
        if abs(apart_s) > ABSURD_S:
            self._told = True
            direction = "ahead of" if apart_s > 0 else "behind"
            self._warn(
                f"{topic}: stamps are {abs(apart_s) / 3600:.1f} h {direction} this node's clock. "
                "For a recording, play it with --clock and set use_sim_time; for a live camera, "
                "look at its clock. Frames are paired by their stamps all the same"
            )
