# SPDX-License-Identifier: Apache-2.0
"""Findings about pairs without visible effect, doubtful calibration and doubtful pairing."""

from __future__ import annotations

from collections.abc import Iterator

from fusion_ros.imaging.pair_check import DOUBT_TEXTS, PairDoubt
from fusion_ros.replay.findings.evidence import Evidence, Finding, Severity, sentence
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
