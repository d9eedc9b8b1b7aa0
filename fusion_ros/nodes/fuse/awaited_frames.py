# SPDX-License-Identifier: Apache-2.0
"""Log of input topics without frames, with the publishers found there."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from fusion_ros.outside_text import printable
from fusion_ros.streams.ledger import LedgerSnapshot, Stream

if TYPE_CHECKING:
    from fusion_ros.nodes.runtime.subscription import FollowingSubscription

FIRST_AFTER_S = 2.0
REPEAT_S = 30.0
MOST_NAMED = 8
"""Number of published image topics that the log names."""


class AwaitedFrames:
    """Logs each camera without a frame since the activation, and its first frame."""

    def __init__(
        self, log: Callable[[str], object], *, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._log = log
        self._clock_s = clock_s
        self._before: LedgerSnapshot | None = None

    def restart(self, totals: LedgerSnapshot) -> None:
        """Expect the first frame of both cameras after these totals."""
        self._before = totals
        self._begun_s = self._clock_s()
        self._next_s = dict.fromkeys(Stream, self._begun_s + FIRST_AFTER_S)
        self._waited: set[Stream] = set()

    def check(self, totals: LedgerSnapshot, inputs: Mapping[Stream, FollowingSubscription]) -> None:
        """Log missing frames; to be called about once each second."""
        if self._before is None:
            return
        now_s = self._clock_s()
        for stream in list(self._next_s):
            before, now = (getattr(t, stream.value).received for t in (self._before, totals))
            subscription = inputs.get(stream)
            if now > before:
                del self._next_s[stream]
                if stream in self._waited and subscription is not None:
                    topic = printable(subscription.topic_name)
                    self._log(f"first frame on {topic} after {now_s - self._begun_s:.0f} s")
            elif subscription is not None and now_s >= self._next_s[stream]:
                self._next_s[stream] = now_s + REPEAT_S
                self._waited.add(stream)
                self._log(waiting_line(stream, subscription))


def waiting_line(stream: Stream, subscription: FollowingSubscription) -> str:
    """Return a log line about missing frames and their publishers."""
    number = subscription.publisher_count()
    found = f"{number} publisher{'' if number == 1 else 's'}, none received"
    if not number:
        found = f"no publisher of {subscription.type_name}"
    line = f"waiting for frames on {printable(subscription.topic_name)} ({found})"
    if wrong := wrong_type(stream, subscription):
        return f"{line}; {wrong}"
    if not number and (others := subscription.topics_of_type()):
        named = printable(", ".join(others[:MOST_NAMED]))
        line += f"; remap {stream.value}/image_raw to your camera's topic, published are: {named}"
    return line


def wrong_type(stream: Stream, subscription: FollowingSubscription) -> str:
    """Return the other type published with the topic's name and the remedy; empty if none."""
    others = subscription.other_types()
    if not others:
        return ""
    topic, wanted = printable(subscription.topic_name), subscription.type_name
    text = f"{printable(', '.join(others))} is published on {topic}, and {wanted} is subscribed: "
    transport = f"{stream.value}_transport"
    if "sensor_msgs/msg/Image" in others:
        remedy = f"set {transport} to 'raw'"
    elif "sensor_msgs/msg/CompressedImage" in others and topic.endswith("/compressed"):
        remedy = f"set {transport} to 'compressed'"
    elif "sensor_msgs/msg/CompressedImage" in others:
        remedy = f"publish it on {topic}/compressed and set {transport} to 'compressed'"
    else:
        remedy = f"remap {stream.value}/image_raw to a topic of images"
    return text + remedy
