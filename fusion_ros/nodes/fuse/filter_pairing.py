# SPDX-License-Identifier: Apache-2.0
"""Pairing by the policies of `message_filters`, with the fate of every frame.

The interface is that of `FramePairer`. message_filters does not report dropped messages, so its
queues are compared with its input after each message. Its callback runs inside its lock and only
stores the pair.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from std_msgs.msg import Header

from fusion_ros.streams.ledger import Fate, FrameLedger, Stream
from fusion_ros.streams.pairer import JUMP_BACK_NS, Pair
from fusion_ros.streams.stamps import NS_PER_S

F = TypeVar("F")


class _Carrier(Generic[F]):
    """A message for message_filters: a frame with a header that has the stamp for pairing."""

    def __init__(self, stamp_ns: int, original_ns: int, frame: F) -> None:
        self.header = Header()
        self.header.stamp.sec, self.header.stamp.nanosec = divmod(stamp_ns, NS_PER_S)
        self.stamp_ns = stamp_ns
        self.original_ns = original_ns
        self.frame = frame


class FilterPairer(Generic[F]):
    """Pairs two streams with message_filters' exact or approximate policy.

    Args:
        policy: "exact" (equal stamps) or "approximate" (the first match within the tolerance).
        tolerance_ns, ledger, queue_size, thermal_offset_ns: as for `FramePairer`.

    Raises:
        ModuleNotFoundError: message_filters is not installed; the message has the fix.
    """

    def __init__(
        self,
        *,
        policy: str,
        tolerance_ns: int,
        ledger: FrameLedger,
        queue_size: int = 8,
        thermal_offset_ns: int = 0,
    ) -> None:
        try:
            import message_filters
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                f"pairing_policy is {policy!r}, which needs message_filters, and that is not "
                "installed: `apt install ros-$ROS_DISTRO-message-filters`, or use 'nearest'"
            ) from error
        self._filters = message_filters
        self._policy = policy
        self._ledger = ledger
        self._queue_size = queue_size
        self._tolerance_ns = tolerance_ns
        self.thermal_offset_ns = thermal_offset_ns
        self.jumps = 0
        self.settled: Fate | None = None
        self._matched: list[tuple[_Carrier[F], _Carrier[F]]] = []
        self._connect()

    @property
    def tolerance_ns(self) -> int:
        """Largest skew of a pair in nanoseconds, inclusive; "exact" takes none."""
        return self._tolerance_ns

    @tolerance_ns.setter
    def tolerance_ns(self, value: int) -> None:
        if value != self._tolerance_ns:
            self._tolerance_ns = value
            self.reset()  # message_filters takes its slop when it is made

    def add(self, stream: Stream, stamp_ns: int, frame: F) -> list[Pair[F]]:
        """Add a frame and return the pairs that it completes."""
        self._ledger.receive(stream)
        self.settled = None
        newest = self._newest[stream]
        if newest is not None and newest - stamp_ns >= JUMP_BACK_NS:
            # After a jump back it would drop every new message and keep the old ones.
            self.reset()
            self.jumps += 1
        offset_ns = self.thermal_offset_ns if stream is Stream.THERMAL else 0
        carrier = _Carrier(stamp_ns + offset_ns, stamp_ns, frame)
        waiting = self._waiting[stream]
        if carrier.stamp_ns in waiting:
            self.settled = Fate.DUPLICATE
            self._ledger.settle(stream, Fate.DUPLICATE)
            return []
        self._newest[stream] = max(stamp_ns, self._newest[stream] or stamp_ns)
        waiting[carrier.stamp_ns] = carrier
        self._inputs[stream].signalMessage(carrier)
        matched, self._matched = self._matched, []
        for visible, thermal in matched:
            del self._waiting[Stream.VISIBLE][visible.stamp_ns]
            del self._waiting[Stream.THERMAL][thermal.stamp_ns]
        self._settle_dropped()
        return [
            Pair(
                visible=visible.frame,
                thermal=thermal.frame,
                visible_stamp_ns=visible.original_ns,
                thermal_stamp_ns=thermal.original_ns,
                skew_ns=thermal.stamp_ns - visible.stamp_ns,
            )
            for visible, thermal in matched
        ]

    def flush(self) -> list[Pair[F]]:
        """Settle all waiting frames as unpaired: message_filters pairs at once or never."""
        self.reset()
        return []

    def reset(self) -> None:
        """Settle all waiting frames as unpaired and begin a new time line."""
        for stream, waiting in self._waiting.items():
            for _ in waiting:
                self._ledger.settle(stream, Fate.UNPAIRED)
        self._connect()

    def _connect(self) -> None:
        self._inputs = {stream: self._filters.SimpleFilter() for stream in Stream}
        sources = list(self._inputs.values())
        if self._policy == "exact":
            self._sync = self._filters.TimeSynchronizer(sources, self._queue_size)
        else:
            # Its slop is exclusive, ours inclusive: one nanosecond more.
            slop_s = (self._tolerance_ns + 1) / NS_PER_S
            self._sync = self._filters.ApproximateTimeSynchronizer(
                sources, self._queue_size, slop_s
            )
        self._matched = []
        self._sync.registerCallback(lambda *pair: self._matched.append(pair))
        self._waiting: dict[Stream, dict[int, _Carrier[F]]] = {stream: {} for stream in Stream}
        self._newest: dict[Stream, int | None] = dict.fromkeys(Stream)

    def _settle_dropped(self) -> None:
        """Settle frames that message_filters dropped."""
        for stream, queue in zip(Stream, self._sync.queues, strict=True):
            waiting = self._waiting[stream]
            for stamp_ns in [stamp for stamp in waiting if stamp not in queue]:
                del waiting[stamp_ns]
                self._ledger.settle(stream, Fate.UNPAIRED)
