# SPDX-License-Identifier: Apache-2.0
"""Which camera is lost, and whose frames pass alone meanwhile (parameter `on_stream_loss`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fusion_ros.streams.flow_options import FlowOptions
from fusion_ros.streams.ledger import Stream
from fusion_ros.streams.stamps import NS_PER_MS
from fusion_ros.streams.stream_health import StreamWatch

WAITING, FUSING, VISIBLE_ONLY, THERMAL_ONLY = "waiting", "fusing", "visible_only", "thermal_only"
OTHER = {Stream.VISIBLE: Stream.THERMAL, Stream.THERMAL: Stream.VISIBLE}


class StreamLoss:
    """Evaluates both cameras by their watches, which it restarts.

    All times are of the clock of the arrival times, in nanoseconds. `is_registered` returns whether
    thermal frames can be registered.
    """

    def __init__(
        self,
        options: FlowOptions,
        watches: Mapping[Stream, StreamWatch],
        *,
        is_registered: Callable[[], bool],
        started_ns: int,
    ) -> None:
        self.options = options
        self._watches = watches
        self._is_registered = is_registered
        self._fused_any = False
        self.alone: Stream | None = None
        """The stream whose frames pass alone now."""
        self.restart(started_ns)

    def restart(self, now_ns: int) -> None:
        """Begin a new time line: silence is counted from here."""
        for watch in self._watches.values():
            watch.restart(now_ns)
        self._flowing_since_ns = dict.fromkeys(Stream, now_ns)

    def is_lost(self, stream: Stream, now_ns: int) -> bool:
        """Whether a camera sent nothing usable for `stream_timeout_ms`.

        Thermal frames that cannot be registered yet are not usable, and neither are frozen ones
        and, with `detect_shutter`, those of a closed shutter.
        """
        timeout_ms, watch = self.timeout_ms(stream), self._watches[stream]
        if watch.silent_for_ms(now_ns) > timeout_ms:
            return True
        if stream is Stream.VISIBLE:
            return False
        blind = self.options.detect_shutter and watch.blind_for_ms(now_ns) > timeout_ms
        return blind or watch.frozen or not self._is_registered()

    def timeout_ms(self, stream: Stream) -> float:
        """Return the time without a usable frame after which a stream is lost."""
        return self._watches[stream].timeout_ms(self.options.stream_timeout_ms)

    def mode(self, now_ns: int) -> str:
        """Return the present output: `FusionStatus.MODE_*` except "inactive" and "idle"."""
        lost = {stream for stream in Stream if self.is_lost(stream, now_ns)}
        if lost == set(Stream) or (not self._fused_any and not lost):
            return WAITING
        if not lost:
            return FUSING
        (lone,) = set(Stream) - lost
        if self.options.on_stream_loss != "pass_other" or self.alone is not lone:
            return WAITING
        return THERMAL_ONLY if lone is Stream.THERMAL else VISIBLE_ONLY

    def note_return(self, stream: Stream, now_ns: int) -> None:
        """Note a message of a lost camera."""
        self._flowing_since_ns[stream] = now_ns

    def passes_alone(self, stream: Stream, now_ns: int) -> bool:
        """Whether a frame of this stream passes alone.

        The stream itself must have flowed for the other one's timeout. So the first frames after
        both cameras start, or come back, wait for their partners.
        """
        if self.options.on_stream_loss != "pass_other" or not self.is_lost(OTHER[stream], now_ns):
            return False
        flowing_ms = (now_ns - self._flowing_since_ns[stream]) / NS_PER_MS
        return self.alone is stream or flowing_ms > self.timeout_ms(OTHER[stream])

    def note_pair(self) -> bool:
        """Note a pair. Return whether frames passed alone until now."""
        was_alone, self.alone = self.alone is not None, None
        self._fused_any = True
        return was_alone
