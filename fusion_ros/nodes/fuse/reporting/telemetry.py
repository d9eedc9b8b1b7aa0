# SPDX-License-Identifier: Apache-2.0
"""Rates, skews and latencies of the last seconds; thread-safe."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from fusion_ros.nodes.fuse.reporting.recent_counts import WINDOW_S
from fusion_ros.streams.ledger import Stream
from fusion_ros.streams.series import percentiles

MAX_SAMPLES = 4096
"""Most samples kept, 10 s at 400 Hz; bounds the memory at any rate."""


@dataclasses.dataclass(frozen=True)
class Percentiles:
    """Median and 95th percentile; NaN without samples."""

    p50: float
    p95: float


@dataclasses.dataclass(frozen=True)
class FusedSample:
    """Time of publishing and timings of one fused image."""

    at_ns: int
    skew_ms: float
    latency_ms: float
    stages_ms: Mapping[str, float]
    is_held: bool


@dataclasses.dataclass(frozen=True)
class TelemetrySnapshot:
    """Figures of the window; times in milliseconds, rates in hertz."""

    window_s: float
    stream_hz: Mapping[Stream, float]
    silent_for_ms: Mapping[Stream, float]
    fused_hz: float
    skew_ms: Percentiles
    signed_skew_ms_p50: float
    held_age_ms: Percentiles
    """|skew| of pairs with a held thermal frame; the other skews are those of other pairs."""
    latency_ms: Percentiles
    stages_ms: Mapping[str, Percentiles]
    passed_alone: Mapping[Stream, int]
    """Frames published without their partner, in total."""
    clock_jumps: int
    """Number of times that stamps jumped back, in total."""


class Telemetry:
    """Collector of arrivals and fused images; `snapshot` evaluates the last `WINDOW_S` seconds."""

    def __init__(self, *, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._clock_ns = clock_ns
        self._lock = threading.Lock()
        self._started_ns = clock_ns()
        self._arrivals: dict[Stream, deque[int]] = {s: deque(maxlen=MAX_SAMPLES) for s in Stream}
        self._newest_ns = dict.fromkeys(Stream, self._started_ns)
        self._fused: deque[FusedSample] = deque(maxlen=MAX_SAMPLES)
        self._passed_alone = dict.fromkeys(Stream, 0)
        self._clock_jumps = 0
        self.trace: Callable[[dict[str, float]], None] | None = None
        """Called with a row for each fused image, if set; must not block."""

    def arrived(self, stream: Stream, at_ns: int) -> None:
        """Record the arrival of a frame."""
        with self._lock:
            self._arrivals[stream].append(at_ns)
            self._newest_ns[stream] = at_ns

    def fused(
        self,
        *,
        skew_ms: float,
        latency_ms: float,
        stages_ms: Mapping[str, float],
        stamp_ns: int = 0,
        arrived_ns: int = 0,
        is_held: bool = False,
    ) -> None:
        """Record a published fused image.

        `stamp_ns` and `arrived_ns` are for the trace: the stamp of the visible frame, and the
        arrival of the pair's later message.
        """
        sample = FusedSample(self._clock_ns(), skew_ms, latency_ms, stages_ms, is_held)
        with self._lock:
            self._fused.append(sample)
        if self.trace is not None:
            row: dict[str, float] = {"stamp_ns": stamp_ns, "arrived_ns": arrived_ns}
            row |= {"skew_ms": skew_ms, "held": int(is_held), "latency_ms": latency_ms}
            self.trace({**row, **{f"{name}_ms": value for name, value in stages_ms.items()}})

    def passed_alone(self, stream: Stream) -> None:
        """Record a frame that was published without a partner."""
        with self._lock:
            self._passed_alone[stream] += 1

    def clock_jumped(self) -> None:
        """Record a jump back of the cameras' stamps."""
        with self._lock:
            self._clock_jumps += 1

    def snapshot(self) -> TelemetrySnapshot:
        """Evaluate the window, which is shorter soon after the start."""
        now_ns = self._clock_ns()
        oldest_ns = max(now_ns - int(WINDOW_S * 1e9), self._started_ns)
        with self._lock:
            arrivals = {
                s: [t for t in times if t >= oldest_ns] for s, times in self._arrivals.items()
            }
            silent_ms = {s: (now_ns - t) / 1e6 for s, t in self._newest_ns.items()}
            fused = [sample for sample in self._fused if sample.at_ns >= oldest_ns]
            passed_alone, clock_jumps = dict(self._passed_alone), self._clock_jumps
        skews_ms = [sample.skew_ms for sample in fused if not sample.is_held]
        window_s = (now_ns - oldest_ns) / 1e9
        names = list(dict.fromkeys(name for sample in fused for name in sample.stages_ms))
        return TelemetrySnapshot(
            window_s=window_s,
            stream_hz={s: _rate_hz(times) for s, times in arrivals.items()},
            silent_for_ms=silent_ms,
            fused_hz=_rate_hz([sample.at_ns for sample in fused]),
            skew_ms=_percentiles([abs(skew) for skew in skews_ms]),
            signed_skew_ms_p50=_percentiles(skews_ms).p50,
            held_age_ms=_percentiles([abs(sample.skew_ms) for sample in fused if sample.is_held]),
            latency_ms=_percentiles([sample.latency_ms for sample in fused]),
            stages_ms={
                name: _percentiles([s.stages_ms[name] for s in fused if name in s.stages_ms])
                for name in names
            },
            passed_alone=passed_alone,
            clock_jumps=clock_jumps,
        )


def _percentiles(values: Sequence[float]) -> Percentiles:
    return Percentiles(*percentiles(values, (50, 95)))


def _rate_hz(times_ns: Sequence[int]) -> float:
    """Return the mean rate from the first to the last time; 0 for fewer than two."""
    if len(times_ns) < 2 or times_ns[-1] <= times_ns[0]:
        return 0.0
    return (len(times_ns) - 1) * 1e9 / (times_ns[-1] - times_ns[0])
