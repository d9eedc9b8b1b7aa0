# SPDX-License-Identifier: Apache-2.0
"""Findings about image content: gain, repetition, alignment, flicker, effect and pairing."""

from __future__ import annotations

from collections.abc import Iterator

from fusion_ros.imaging.pair_check import DOUBT_TEXTS, PairDoubt
from fusion_ros.registration.alignment import lasting_shift
from fusion_ros.replay.findings.evidence import Evidence, Finding, Severity, sentence, times
from fusion_ros.streams.ledger import Stream

_FIXES = {
    PairDoubt.SAME_PICTURE: "Name the thermal camera's topic, folder or file.",
    PairDoubt.THERMAL_CONSTANT: "Look at the thermal camera's lens, shutter and driver.",
    PairDoubt.FUSED_CONSTANT: "Look at both inputs in the report.",
    PairDoubt.FUSED_IS_VISIBLE: (
        "Look at the thermal input and at the registration (fusion-ros calibrate --show FILE)."
    ),
    PairDoubt.TEMPERATURES: "Set tone_unit (--set tone_unit=...) to what the camera sends.",
}


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


def without_effect(e: Evidence) -> Iterator[Finding]:
    """Find doubts of single pairs."""
    pairs, frames = e.result.log.pairs, e.frames[Stream.VISIBLE]
    for doubt, fix in _FIXES.items():
        bad = [pair for pair in pairs if doubt in pair.doubts]
        # The fused image does not depend on the unit.
        worst = Severity.WARNING if doubt is PairDoubt.TEMPERATURES else Severity.ERROR
        if bad:
            yield Finding(
                doubt.value,
                worst if len(bad) > len(pairs) / 2 else Severity.WARNING,
                f"{len(bad)} of {len(pairs)} pairs: {doubt.value.replace('_', ' ')}",
                sentence(DOUBT_TEXTS[doubt]),
                fix,
                e.places([frames[pair.visible_index] for pair in bad]),
                len(bad),
            )


def doubtful_inputs(e: Evidence) -> Iterator[Finding]:
    """Find evidence against the pairing of files, and an unusual calibration."""
    for code, what, doubts, fix in (
        (
            "doubtful_pairing", "pairing of these files", e.identity.doubts,
            "Put the time of each image into its name, or record a bag with stamps.",
        ),
        (
            "doubtful_calibration", "calibration", e.result.calibration_doubts,
            "Check the file with fusion-ros calibrate --show, or calibrate again.",
        ),
    ):  # fmt: skip
        for doubt in doubts:
            title = f"The {what} is doubtful"
            yield Finding(code, Severity.WARNING, title, sentence(doubt), fix)
