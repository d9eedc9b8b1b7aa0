# SPDX-License-Identifier: Apache-2.0
"""Findings about stamps and rates: missing, duplicate, late and unpaired frames, and offsets."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from fusion_ros.replay.findings.evidence import MOST_PLACES, Evidence, Finding, Severity, times
from fusion_ros.streams.clock_offset import SECONDS_APART_MS, remedy
from fusion_ros.streams.ledger import Fate, Stream

_AT_THE_ENDS = 2
_STEP_MS = 5.0
_REACH_MS = 400.0
_CLEAR = 0.55
"""Least correlation of both motions at the best offset."""
_BETTER = 0.12
"""Least gain in correlation of the best offset over none."""
_SHORTEST_S = 4.0


def looped(e: Evidence) -> Iterator[Finding]:
    """Find jumps back in time, as in a looped bag."""
    if e.result.jumps:
        back = [
            b
            for entries in e.frames.values()
            for a, b in itertools.pairwise([f for f in entries if f.stamp_ns])
            if (b.stamp_ns or 0) < (a.stamp_ns or 0) - 500_000_000
        ]
        yield Finding(
            "time_jumped_back",
            Severity.ERROR,
            f"Time jumps back ({times(e.result.jumps)})",
            "The stamps restart at an earlier time, as in a recording of a looped bag. Pairing "
            "restarts at each jump.",
            "Record from the cameras, or play the source bag without --loop.",
            e.places(sorted(back, key=lambda f: f.arrived_ns)),
            e.result.jumps,
        )


def offset(e: Evidence) -> Iterator[Finding]:
    """Find a constant offset by stamps and arrival times, else by motion in the images."""
    rates = [r.rate_hz for r in e.rhythms.values() if r.rate_hz > 0]
    if not rates:
        return
    period_ms = 1e3 / max(rates)
    wanted, source = e.offset
    in_use = e.settings.thermal_offset_ns / 1e6
    limit = max(5.0, 0.3 * period_ms) if source == "stamps and arrival" else 25.0
    if wanted is not None and abs(wanted - in_use) > limit:
        late, fix = in_use - wanted, remedy(wanted)
        yield Finding(
            "constant_offset",
            Severity.ERROR,
            f"Thermal stamps are {_duration(abs(late))} {'late' if late > 0 else 'early'}",
            f"By {source}, thermal and visible frames of one moment have stamps that "
            f"differ by {abs(late):.1f} ms{_both_stamps(e)}. Frames of different moments are "
            "paired, or no frames.",
            f"Set {fix} (replay: {fix.option}), or correct the driver's clock.",
            parameters={fix.parameter: fix.value},
        )
        return
    yield from _offset_in_images(e, in_use, period_ms)


def _duration(milliseconds: float) -> str:
    """Return a duration as text in a suitable unit."""
    if milliseconds >= 3.6e6:
        return f"{milliseconds / 3.6e6:.1f} h"
    return f"{milliseconds / 1e3:.1f} s" if milliseconds >= 1e4 else f"{milliseconds:.0f} ms"


def _both_stamps(e: Evidence) -> str:
    """Return the first stamp of each stream as text if they differ by seconds."""
    if abs(e.offset[0] or 0.0) < SECONDS_APART_MS:
        return ""
    first = {s: next(f.stamp_ns for f in of if f.stamp_ns) for s, of in e.frames.items()}
    return f" (first stamps: {', '.join(f'{s.value} {ns / 1e9:.3f} s' for s, ns in first.items())})"


def _offset_in_images(e: Evidence, in_use: float, period_ms: float) -> Iterator[Finding]:
    series = {
        stream: [(f.stamp_ns, f.motion) for f in entries if f.stamp_ns and f.motion is not None]
        for stream, entries in e.frames.items()
    }
    if e.result.jumps:
        return
    seen = _motion_offset_ms(series[Stream.VISIBLE], series[Stream.THERMAL])
    if seen is not None and abs(seen - in_use) > max(20.0, 0.8 * period_ms):
        late = in_use - seen
        yield Finding(
            "offset_in_images",
            Severity.WARNING,
            f"Motion appears in the thermal stream {abs(late):.0f} ms "
            f"{'late' if late > 0 else 'early'}",
            "The same motion has stamps that differ by this much in the visible and the thermal "
            "images, although the stamps agree with the arrival times.",
            f"Try --thermal-offset-ms {seen:.0f} and compare the two reports.",
            parameters={"thermal_offset_ms": seen},
        )


def _motion_offset_ms(
    visible: Sequence[tuple[int, float]], thermal: Sequence[tuple[int, float]]
) -> float | None:
    """Return the offset for thermal stamps that aligns the motions; None if it is not clear.

    Stamps and arrival times can share one error (re-stamped recordings, cameras on one clock with
    different delays), which only the images show. The estimate needs motion that varies.

    Both streams are (stamp, motion); stamps increase. Motion is any measure of change from the
    previous frame.
    """
    if min(len(visible), len(thermal)) < 60:
        return None
    begin = max(visible[0][0], thermal[0][0])
    end = min(visible[-1][0], thermal[-1][0])
    if (end - begin) / 1e9 < _SHORTEST_S:
        return None
    grid = np.arange(0, (end - begin) / 1e6, _STEP_MS)
    a, b = (
        _ups_and_downs(np.interp(grid, [(ns - begin) / 1e6 for ns, _ in s], [m for _, m in s]))
        for s in (visible, thermal)
    )
    if a is None or b is None:
        return None
    reach = round(_REACH_MS / _STEP_MS)
    scores = []
    for shift in range(-reach, reach + 1):
        x, y = (a[shift:], b[: len(b) - shift]) if shift >= 0 else (a[:shift], b[-shift:])
        scores.append(float(np.corrcoef(x, y)[0, 1]))
    best = int(np.argmax(scores))
    clear = scores[best] >= max(_CLEAR, scores[reach] + _BETTER)
    return (best - reach) * _STEP_MS if clear and best not in (0, 2 * reach) else None


def _ups_and_downs(signal: np.ndarray) -> np.ndarray | None:
    """Return the logarithm of a signal without its slow drift; None if the scene is still.

    The logarithm limits the weight of a single flash.
    """
    signal = np.log1p(np.maximum(signal, 0) / max(float(np.median(signal)), 1e-9))
    window = max(3, round(1500 / _STEP_MS))
    padded = np.pad(signal, (window // 2, window - 1 - window // 2), mode="edge")
    slow = np.convolve(padded, np.ones(window) / window, mode="valid")
    fast = signal - slow
    return fast if float(fast.std()) > 1e-3 else None


def missing_frames(e: Evidence) -> Iterator[Finding]:
    """Find missing frames by the rate."""
    for stream, rhythm in e.rhythms.items():
        share = rhythm.missing / max(1, rhythm.missing + len(e.frames[stream]))
        if rhythm.missing >= 3 or share > 0.02:
            longest = rhythm.gaps[0]
            yield Finding(
                f"missing_{stream.value}_frames",
                Severity.ERROR if share > 0.05 or longest.seconds > 1 else Severity.WARNING,
                f"About {rhythm.missing} {stream.value} frames are missing",
                f"At {rhythm.rate_hz:.1f} Hz, {share:.1%} of the frames are missing: "
                f"{times(len(rhythm.gaps))}, the longest {longest.seconds:.2f} s at "
                f"{e.seconds(longest.at_ns):.1f} s.",
                "Check the cable, the driver, DDS (large images need the shared-memory profile), "
                "and the write rate of the recorder's disk.",
                tuple(sorted(e.seconds(gap.at_ns) for gap in rhythm.gaps[:MOST_PLACES])),
                rhythm.missing,
            )


def unpaired(e: Evidence) -> Iterator[Finding]:
    """Find more unpaired frames than the rates explain."""
    for stream, entries in e.frames.items():
        alone = [f for f in entries if f.fate is Fate.UNPAIRED]
        other = Stream.THERMAL if stream is Stream.VISIBLE else Stream.VISIBLE
        rate, others = e.rhythms[stream].rate_hz, e.rhythms[other].rate_hz
        # Only every n-th frame of the faster camera can have a partner.
        expected = max(0.0, 1 - others / rate) if rate > 0 else 0.0
        # At each end of the recording, the partner of one frame may not be recorded.
        if len(alone) > max(_AT_THE_ENDS, (expected + 0.05) * len(entries)):
            yield Finding(
                f"unpaired_{stream.value}_frames",
                Severity.WARNING,
                f"{len(alone)} of {len(entries)} {stream.value} frames found no partner",
                f"No {other.value} frame lay within {e.settings.tolerance_ns / 1e6:g} ms of them.",
                "See the findings about missing frames and constant offset first; else raise "
                "pairing_tolerance_ms, which increases the offset of moving objects.",
                e.places(alone),
                len(alone),
                {"pairing_tolerance_ms": 2 * e.settings.tolerance_ns / 1e6},
            )


def stalls(e: Evidence) -> Iterator[Finding]:
    """Find intervals without recorded frames."""
    stalls = {gap for rhythm in e.rhythms.values() for gap in rhythm.stalls}
    longest = max(stalls, key=lambda gap: gap.seconds, default=None)
    if longest is not None and longest.seconds > 0.5:
        yield Finding(
            "stall",
            Severity.WARNING,
            f"The recording stalls ({times(len(stalls))})",
            f"The longest time without a frame of one camera is {longest.seconds:.2f} s, at "
            f"{e.seconds(longest.at_ns):.1f} s.",
            "See the missing frames; a stall of both cameras is caused by the recorder.",
            tuple(sorted(e.seconds(gap.at_ns) for gap in stalls)[:MOST_PLACES]),
            len(stalls),
        )


def doubles(e: Evidence) -> Iterator[Finding]:
    """Find duplicate and late frames."""
    for fate, title in (
        (Fate.DUPLICATE, "{} {} frames repeat an earlier stamp"),
        (Fate.LATE, "{} {} frames arrived too late for pairing"),
    ):
        for stream, entries in e.frames.items():
            bad = [f for f in entries if f.fate is fate]
            if bad:
                yield Finding(
                    f"{fate.value}_frames",
                    Severity.WARNING if len(bad) > 0.01 * len(entries) else Severity.INFO,
                    title.format(len(bad), stream.value),
                    "They were counted and not fused.",
                    "Two publishers on one topic, a driver that sends twice, or reordering in "
                    "transport.",
                    e.places(bad),
                    len(bad),
                )
