# SPDX-License-Identifier: Apache-2.0
"""Findings about image content: gain jumps, repeated frames, misalignment, flicker."""

from __future__ import annotations

from collections.abc import Iterator

from fusion_ros.registration.alignment import lasting_shift
from fusion_ros.replay.findings.evidence import Evidence, Finding, Severity, times
from fusion_ros.streams.ledger import Stream


def gain_jumps(e: Evidence) -> Iterator[Finding]:
    """Find changes of a camera's own gain."""
    for stream, entries in e.frames.items():
        jumps = [f for f in entries if f.jump]
        if not jumps:
            continue
        largest = max(jumps, key=lambda f: abs(f.jump))
        thermal = stream is Stream.THERMAL
        yield Finding(
            "gain_jump" if thermal else "exposure_jump",
            Severity.WARNING if thermal else Severity.INFO,
            f"The {stream.value} camera changes its gain ({times(len(jumps))})",
            f"From one frame to the next the same scene changes by up to "
            f"{abs(largest.jump):.1f} (camera units), at "
            f"{e.seconds(largest.arrived_ns):.2f} s (frame {largest.index}).",
            "Record 16-bit counts if the camera supports them, or keep tone_eight_bit at "
            "'stabilise'."
            if thermal
            else "Check the camera's auto exposure.",
            e.places(jumps),
            len(jumps),
            {"tone_eight_bit": "stabilise"} if thermal else {},
        )


def frozen(e: Evidence) -> Iterator[Finding]:
    """Find frames that repeat the previous one."""
    for stream, entries in e.frames.items():
        repeated = [f for f in entries if f.repeated]
        if len(repeated) <= max(2, 0.02 * len(entries)):
            continue
        if len(repeated) > 0.4 * len(entries):
            severity, detail = Severity.INFO, "A fast driver repeats each image of a slow sensor."
            fix = "Fuse at the sensor's own rate if possible."
        else:
            severity = Severity.WARNING
            detail = "The camera froze (shutter or driver), or the recorded source did."
            fix = "See the places on the timeline."
        yield Finding(
            "repeated_frames",
            severity,
            f"{len(repeated)} {stream.value} frames are bit-identical to the previous one",
            detail,
            fix,
            e.places(repeated),
            len(repeated),
        )


def misaligned(e: Evidence) -> Iterator[Finding]:
    """Find a shift between the thermal and the visible image."""
    looked = [p.alignment for p in e.result.log.pairs if p.alignment]
    shift = lasting_shift(looked) if len(looked) >= 3 else None
    if shift:
        clear = [a for p in e.result.log.pairs if (a := p.clear_alignment)]
        yield Finding(
            "misaligned",
            Severity.WARNING,
            f"The thermal image is shifted by {round(shift[0]):+d} px, {round(shift[1]):+d} px",
            f"The edges of both images agree best at that shift (right, down), in {len(clear)} "
            "of the measured frames.",
            "Calibrate with fusion-ros calibrate, and set registration_mode.",
        )


def flicker(e: Evidence) -> Iterator[Finding]:
    """Find fused images that change more than their sources."""
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
            f"The fused images flicker ({times(len(restless))})",
            f"They change by up to {worst.excess_flicker:.1f} grey levels more than either source "
            f"(fused frame {worst.index}).",
            "Check the tone mapping of the thermal stream (tone_smoothing_s, tone_eight_bit).",
            e.places([frames[p.visible_index] for p in restless]),
            len(restless),
            {"tone_smoothing_s": 4.0},
        )
