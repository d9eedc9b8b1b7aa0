# SPDX-License-Identifier: Apache-2.0
"""Which camera is lost, and whose pictures go out alone meanwhile (parameter `on_stream_loss`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from fusion_ros.streams.ledger import Stream
from fusion_ros.streams.stream_health import StreamWatch

if TYPE_CHECKING:
    from fusion_ros.parameters import FuseParameters

NS_PER_MS = 1_000_000
WAITING, FUSING, VISIBLE_ONLY, THERMAL_ONLY = "waiting", "fusing", "visible_only", "thermal_only"
OTHER = {Stream.VISIBLE: Stream.THERMAL, Stream.THERMAL: Stream.VISIBLE}


class StreamLoss:
    """Judges both cameras by their watches, frame by frame.

    Args:
        values: the node's parameters; `values` may be set anew.
        watches: of both streams; started anew here.
        is_registered: whether it is known where thermal pictures lie.
        clock_ns: the monotonic clock that the watches run on.
    """

    def __init__(
        self,
        values: FuseParameters,
        watches: Mapping[Stream, StreamWatch],
        *,
        is_registered: Callable[[], bool],
        clock_ns: Callable[[], int],
    ) -> None:
        self.values = values
        self._watches = watches
        self._is_registered = is_registered
        self._clock_ns = clock_ns
        now_ns = clock_ns()
        for watch in watches.values():
            watch.restart(now_ns)
        self._flowing_since_ns = dict.fromkeys(Stream, now_ns)
        self._fused_any = False
        self.alone: Stream | None = None
        """Whose pictures go out alone now."""

    def is_lost(self, stream: Stream) -> bool:
        """Whether nothing new has come from a camera for `stream_timeout_ms`, or nothing that could
        be used: a thermal picture whose place on the visible one is not known yet.
        """
        now_ns, timeout_ms = self._clock_ns(), self.timeout_ms(stream)
        watch = self._watches[stream]
        if watch.silent_for_ms(now_ns) > timeout_ms:
            return True
        if stream is Stream.THERMAL and not self._is_registered():
            return True
        if stream is Stream.VISIBLE:
            return False
        blind = self.values.detect_shutter and watch.blind_for_ms(now_ns) > timeout_ms
        return watch.frozen or blind

    def timeout_ms(self, stream: Stream) -> float:
        """How long a stream may bring nothing new before it is lost."""
        return self._watches[stream].timeout_ms(self.values.stream_timeout_ms)

    def mode(self) -> str:
        """What comes out now: `FusionStatus.MODE_*` but for "inactive" and "idle"."""
        lost = {stream for stream in Stream if self.is_lost(stream)}
        if lost == set(Stream) or (not self._fused_any and not lost):
            return WAITING
        if not lost:
            return FUSING
        (lone,) = set(Stream) - lost
        if self.values.on_stream_loss != "pass_other" or self.alone is not lone:
            return WAITING
        return THERMAL_ONLY if lone is Stream.THERMAL else VISIBLE_ONLY

    def comes_back(self, stream: Stream, now_ns: int) -> None:
        """A message came from a camera that was lost."""
        self._flowing_since_ns[stream] = now_ns

    def goes_alone(self, stream: Stream, now_ns: int) -> bool:
        """Whether this stream's frames are published without the other camera's.

        Not before the stream itself has flowed for `stream_timeout_ms`: when both cameras start,
        or come back, the first frame of one does not yet miss the other.
        """
        if self.values.on_stream_loss != "pass_other" or not self.is_lost(OTHER[stream]):
            return False
        flowing_ms = (now_ns - self._flowing_since_ns[stream]) / NS_PER_MS
        return self.alone is stream or flowing_ms > self.timeout_ms(OTHER[stream])

    def paired(self) -> bool:
        """A pair is there. Returns whether one camera's pictures went out alone until now."""
        was_alone, self.alone = self.alone is not None, None
        self._fused_any = True
        return was_alone
