# SPDX-License-Identifier: Apache-2.0
"""Kind `stalls`: three subscribers of the fused image stand still, in turn with none."""

from __future__ import annotations

import contextlib
import signal
import statistics
import time
from typing import Any

from attack.node import start_viewer
from attack.trial import Tally
from benchmarks.field.listening import Field

RATE_HZ, SIZE = 30.0, (640, 512)
LEAST_FUSED, MOST_LATENCY = 0.99, 1.2
_SETTLE_S = 1.0


def attack_stalls(tally: Tally) -> None:  # noqa: C901
    """Stop three viewers in every second quarter of the run; compare the quarters."""
    seconds = max(16.0, tally.seconds - 20.0)
    parameters = {"warm_up_width": 640, "warm_up_height": 512}
    quarter_s = seconds / 4
    with Field(tally.folder, parameters) as field:
        viewers = [
            start_viewer(tally.folder, n, ("reliable", "best_effort")[n % 2]) for n in range(3)
        ]
        begun: list[float] = []
        legs: list[tuple[float, float, bool]] = []

        def step(status: Any) -> None:
            """Called with each status, once a second."""
            if not status.visible_received:
                return
            now = time.monotonic()
            begun.append(now)
            number = int((now - begun[0]) / quarter_s)
            if number == len(legs) and number < 4:
                stalled = number % 2 == 1
                for viewer in viewers:
                    viewer.send_signal(signal.SIGSTOP if stalled else signal.SIGCONT)
                legs.append((now + _SETTLE_S, now + quarter_s - _SETTLE_S, stalled))

        field.listener.on_status = step
        try:
            field.run_cameras(seconds=seconds, rate_hz=RATE_HZ, size=SIZE)
        finally:
            for viewer in viewers:
                with contextlib.suppress(ProcessLookupError):
                    viewer.send_signal(signal.SIGCONT)
                viewer.kill()
                viewer.wait()
        sent, arrived = field.sent(), field.listener.arrived_ns
    tally.tried = 3 * sum(stalled for *_, stalled in legs)
    shares, latencies = {False: [], True: []}, {False: [], True: []}
    for begin, end, stalled in legs:
        own = [row for row in sent if begin * 1e9 <= row["visible_sent_ns"] < end * 1e9]
        came = [row for row in own if row["stamp_ns"] in arrived]
        shares[stalled].append(len(came) / max(1, len(own)))
        latencies[stalled] += [
            (arrived[row["stamp_ns"]] - row["visible_sent_ns"]) / 1e6 for row in came
        ]
    if len(legs) < 4 or not (latencies[False] and latencies[True]):
        tally.breach("silent", "stalls", f"only {len(legs)} of 4 quarters were measured")
        return
    free, stalled = (statistics.median(latencies[s]) for s in (False, True))
    note = (
        f"fused {min(shares[True]):.1%} stalled, {min(shares[False]):.1%} free; latency p50 of a "
        f"healthy subscriber {stalled:.2f} ms stalled, {free:.2f} ms free"
    )
    tally.notes.append(note)
    least, most = LEAST_FUSED, MOST_LATENCY
    if min(shares[False]) < LEAST_FUSED:
        tally.notes.append("the machine is too busy for the bars: half the frames, twice the time")
        least, most = 0.5 * min(shares[False]), 2.0
    if min(shares[True]) < least:
        tally.breach("hang", "three stalled subscribers", f"frames lost: {note}")
    if stalled > most * free:
        tally.breach("hang", "three stalled subscribers", f"latency: {note}")
