# SPDX-License-Identifier: Apache-2.0
"""What the pictures themselves show: gain, standstill, misalignment, flicker."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from fusion_ros.replay.findings.evidence import Evidence, Finding, Severity, times
from fusion_ros.streams.ledger import Stream

_ALIGNED = 0.9
"""Score of edges that agree about as well where they lie as at the best place."""


def gain_jumps(e: Evidence) -> Iterator[Finding]:
    """A camera changes its own gain from one frame to the next."""
    for stream, entries in e.frames.items():
        jumps = [f for f in entries if f.jump]
        if jumps:
            largest = max(jumps, key=lambda f: abs(f.jump))
            yield Finding(
                "gain_jump" if stream is Stream.THERMAL else "exposure_jump",
                Severity.WARNING if stream is Stream.THERMAL else Severity.INFO,
                f"The {stream.value} camera changes its gain ({times(len(jumps))})",
                f"From one frame to the next the same scene changes by up to "
                f"{abs(largest.jump):.1f} (the camera's own numbers), at "
                f"{e.seconds(largest.arrived_ns):.2f} s (frame {largest.index}).",
                "Thermal: record 16-bit counts if the camera can, or keep tone_eight_bit at "
                "'stabilise'. Visible: look at the auto exposure.",
                e.places(jumps),
                len(jumps),
            )


def frozen(e: Evidence) -> Iterator[Finding]:
    """Frames that repeat the one before."""
    for stream, entries in e.frames.items():
        repeated = [f for f in entries if f.repeated]
        if len(repeated) > max(2, 0.02 * len(entries)):
            steady = len(repeated) > 0.4 * len(entries)
            yield Finding(
                "repeated_frames",
                Severity.INFO if steady else Severity.WARNING,
                f"{len(repeated)} {stream.value} frames repeat the one before to the last bit",
                "A slow sensor behind a fast driver repeats each picture."
                if steady
                else "A camera that froze (its shutter, its driver), or a recording of one.",
                "Fuse at the sensor's own rate where it can be had."
                if steady
                else "Look at the places on the timeline.",
                e.places(repeated),
                len(repeated),
            )


def misaligned(e: Evidence) -> Iterator[Finding]:
    """The thermal picture does not lie on the visible one."""
    clear = [a for p in e.result.log.pairs if (a := p.clear_alignment)]
    if len(clear) < 3:
        return
    shift_x = median(a.shift_x_px for a in clear)
    shift_y = median(a.shift_y_px for a in clear)
    if max(abs(shift_x), abs(shift_y)) >= 3 and median(a.score for a in clear) < _ALIGNED:
        yield Finding(
            "misaligned",
            Severity.WARNING,
            f"The thermal picture lies off by {round(shift_x):+d} px, {round(shift_y):+d} px",
            f"The edges of both pictures agree best at that shift (right, down), in {len(clear)} "
            "of the measured frames.",
            "Calibrate with the command fusion-ros calibrate, and set registration_mode.",
        )


def flicker(e: Evidence) -> Iterator[Finding]:
    """The fused picture is more restless than its sources."""
    restless = [
        p
        for p in e.result.log.pairs
        if p.excess_flicker is not None and p.excess_flicker > 2.0 and (p.change_ratio or 0) > 1.5
    ]
    if restless:
        worst = max(restless, key=lambda p: p.excess_flicker or 0)
        frames = e.frames[Stream.VISIBLE]
        yield Finding(
            "flicker",
            Severity.WARNING,
            f"The fused picture flickers ({times(len(restless))})",
            f"It changes by {worst.excess_flicker:.1f} grey levels more than either source "
            f"(fused frame {worst.index}).",
            "Look at the tone mapping of the thermal stream (tone_smoothing_s, tone_eight_bit).",
            e.places([frames[p.visible_index] for p in restless]),
            len(restless),
        )
