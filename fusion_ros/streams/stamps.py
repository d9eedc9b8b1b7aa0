# SPDX-License-Identifier: Apache-2.0
"""Time of a frame: its header's stamp, or its arrival for drivers without stamps."""

from __future__ import annotations

from collections.abc import Callable

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
SOURCES = ("header", "arrival")


class StampError(ValueError):
    """A stamp that cannot be used; `reason` is the code of a counter, the text has the remedy."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def read_stamp(source: str, sec: int, nanosec: int, clock_ns: Callable[[], int]) -> int:
    """Return the time of a frame in nanoseconds.

    Args:
        source: "header" or "arrival" (parameter `stamp_source`).
        sec, nanosec: the header's stamp, unchecked.
        clock_ns: clock for stamps by arrival: the node's ROS clock, or the recorded time.

    Raises:
        StampError: the stamp is zero or invalid, or the clock is zero.
    """
    if source == "arrival":
        now_ns = clock_ns()
        if now_ns == 0:
            raise StampError(
                "no_clock",
                "stamp_source is 'arrival' and use_sim_time is set, but nothing has come on "
                "/clock yet: start the simulation, or play the recording with --clock",
            )
        return now_ns
    if sec == 0 and nanosec == 0:
        raise StampError(
            "zero_stamp",
            "header.stamp is zero: the driver does not fill it in. Set parameter stamp_source "
            "to 'arrival' to pair frames by their time of arrival",
        )
    if sec < 0 or nanosec >= NS_PER_S:
        raise StampError(
            "bad_stamp",
            f"header.stamp is {sec} s and {nanosec} ns; allowed are 0 s and more, and 0 to "
            "999999999 ns",
        )
    return sec * NS_PER_S + nanosec
